#include "ops/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::ops {

Result<void> writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return osError("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

std::string folderOf(const std::string& path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> syncFolderOf(const std::string& path) {
  std::string folder = folderOf(path);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return osError("open " + folder);
  if (::fsync(fd.get()) != 0) return osError("write " + folder + " to the disk");
  return {};
}

Result<void> renameDurably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return osError("rename " + from + " to " + to);
  return syncFolderOf(to);
}

}  // namespace godwit::ops
