#include "agent/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::agent {

std::optional<std::string> readFile(const std::string& path, std::size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string out;
  struct stat st {};
  if (::fstat(fd.get(), &st) == 0 && st.st_size > 0) {
    out.reserve(std::min(static_cast<std::size_t>(st.st_size), limit));
  }
  char buf[65536];
  while (out.size() < limit) {
    ssize_t n = ::read(fd.get(), buf, std::min(sizeof buf, limit - out.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    out.append(buf, static_cast<std::size_t>(n));
  }
  return out;
}

Result<> writeFileDurably(const std::string& path, std::string_view content) {
  std::string tmp = path + ".tmp";
  {
    UniqueFd fd(::open(tmp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660));
    if (!fd) return osError("create " + tmp);
    while (!content.empty()) {
      ssize_t n = ::write(fd.get(), content.data(), content.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return osError("write " + tmp);
      content.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fdatasync(fd.get()) != 0) return osError("flush " + tmp);
  }
  if (::rename(tmp.c_str(), path.c_str()) != 0) return osError("rename " + tmp);
  std::string dir = path.substr(0, path.rfind('/'));
  UniqueFd d(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (d) ::fsync(d.get());
  return {};
}

}  // namespace godwit::agent
