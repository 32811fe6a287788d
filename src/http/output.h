#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "net/stream.h"

namespace godwit::http {

// What a connection still has to send: pieces of memory, owned or shared, and parts of files. Empty
// it holds no memory. Loop thread only.
class Output {
 public:
  using Shared = std::shared_ptr<const std::string>;

  void append(std::string_view bytes);
  void append(std::string&& bytes);
  void append(Shared bytes);
  void appendFile(std::shared_ptr<UniqueFd> file, std::uint64_t offset, std::uint64_t length);

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Bytes held in memory, files not counted.
  [[nodiscard]] std::size_t memory() const { return memory_; }

  // Sends until everything is gone or the socket is full. Bytes sent, or -errno; a file that ends
  // before its length is -EIO. `sent` counts what went even when an error follows.
  ssize_t flush(net::Stream& stream, std::uint64_t& sent);
  void clear();

 private:
  struct Piece {
    std::string own;
    Shared shared;
    std::shared_ptr<UniqueFd> file;
    std::uint64_t offset = 0;  // next byte to send
    std::uint64_t end = 0;
    [[nodiscard]] const char* data() const { return (shared ? *shared : own).data(); }
  };
  void push(Piece piece);
  void consume(std::uint64_t n);

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;
  std::uint64_t size_ = 0;
  std::size_t memory_ = 0;
};

}  // namespace godwit::http
