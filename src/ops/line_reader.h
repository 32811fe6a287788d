#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::ops {

// Lines of a file, in order. Not the owner of the descriptor, whose own position stays as it is.
// One thread.
class LineReader {
 public:
  // A longer line is an error: no object is as large.
  static constexpr std::size_t kMaxLine = std::size_t{64} << 20;

  LineReader(int fd, std::uint64_t offset) : fd_(fd), at_(offset), next_read_(offset) {}

  // The next line without its end, valid until the next call; false at the end of the file. What
  // follows the last line end is not a line.
  Result<bool> next(std::string_view& line);
  // Where the next line starts.
  [[nodiscard]] std::uint64_t offset() const { return at_; }

 private:
  int fd_;
  std::uint64_t at_;
  std::uint64_t next_read_;
  std::string buffer_;
  std::size_t used_ = 0;  // of buffer_
};

}  // namespace godwit::ops
