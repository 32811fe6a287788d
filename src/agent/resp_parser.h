// Requests of the Redis protocol (RESP2): arrays of bulk strings, and inline commands. Incremental,
// pure, bounded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::agent {

class RespParser {
 public:
  enum class State { kNeedMore, kDone, kError };

  struct Limits {
    std::size_t arguments = 1024 * 1024;
    std::size_t bulk = 16u << 20;
    std::size_t inline_line = 64 * 1024;
  };

  explicit RespParser(Limits limits) : limits_(limits) {}
  RespParser() : RespParser(Limits{}) {}

  // Looks for one whole command at the front of `data`. kDone: `used` bytes were it, and `args`
  // are views into `data`. kNeedMore: nothing is consumed; call again with more behind the same
  // bytes. kError: error() says what, the connection is beyond repair.
  State parse(std::string_view data, std::size_t& used, std::vector<std::string_view>& args);
  [[nodiscard]] const std::string& error() const { return error_; }
  // The whole command needs at least this many bytes: no use trying before they are there.
  [[nodiscard]] std::size_t needed() const { return needed_; }

 private:
  State fail(std::string text) {
    error_ = std::move(text);
    return State::kError;
  }

  Limits limits_;
  std::string error_;
  std::size_t needed_ = 0;
};

}  // namespace godwit::agent
