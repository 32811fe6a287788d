#include "ops/line_reader.h"

#include <unistd.h>

#include "base/os_error.h"

namespace godwit::ops {

Result<bool> LineReader::next(std::string_view& line) {
  constexpr std::size_t kRead = std::size_t{256} << 10;
  std::size_t searched = used_;
  for (;;) {
    std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line = std::string_view(buffer_).substr(used_, end - used_);
      at_ += end + 1 - used_;
      used_ = end + 1;
      return true;
    }
    if (buffer_.size() - used_ > kMaxLine) return Error(ErrorCode::kLimit, "a line is too long");
    buffer_.erase(0, used_);
    used_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + kRead);
    ssize_t n = 0;
    do {
      n = ::pread(fd_, buffer_.data() + searched, kRead, static_cast<off_t>(next_read_));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return osError("read the file");
    buffer_.resize(searched + static_cast<std::size_t>(n));
    next_read_ += static_cast<std::uint64_t>(n);
    if (n == 0) return false;
  }
}

}  // namespace godwit::ops
