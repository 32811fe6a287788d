#include "supervise/file_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::supervise {

Result<std::string> readText(const std::string& path, std::size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return osError("read " + path);
  std::string out;
  char buffer[8192];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return osError("read " + path);
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > limit) {
      return Error(ErrorCode::kLimit,
                   "cannot read " + path + ": larger than " + std::to_string(limit) + " bytes");
    }
  }
}

bool eachLine(std::string_view text, const std::function<bool(std::string_view)>& line) {
  while (!text.empty()) {
    std::size_t eol = text.find('\n');
    std::string_view l = text.substr(0, eol);
    if (!l.empty() && l.back() == '\r') l.remove_suffix(1);
    if (line(l)) return true;
    text = eol == std::string_view::npos ? "" : text.substr(eol + 1);
  }
  return false;
}

}  // namespace godwit::supervise
