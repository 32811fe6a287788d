#include "supervise/pidfile.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os_error.h"

namespace godwit::supervise {

Result<> LockFile::acquire(const std::string& path, bool write_pid) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd) return osError("open " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return Error(ErrorCode::kConflict, "another instance holds " + path);
    }
    // The holder before may have unlinked it between our open and our lock.
    struct stat ours {};
    struct stat there {};
    if (::fstat(fd.get(), &ours) != 0 || ::stat(path.c_str(), &there) != 0 ||
        ours.st_ino != there.st_ino || ours.st_dev != there.st_dev) {
      continue;
    }
    if (write_pid) {
      std::string text = std::to_string(::getpid()) + "\n";
      if (::ftruncate(fd.get(), 0) != 0 ||
          ::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        Error e = osError("write " + path);
        ::unlink(path.c_str());
        return e;
      }
    }
    fd_ = std::move(fd);
    path_ = path;
    return {};
  }
  return Error(ErrorCode::kConflict, "another instance holds " + path);
}

void LockFile::adopt(int fd, const std::string& path) {
  if (fd < 0) return;
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  fd_.reset(fd);
  path_ = path;
}

void LockFile::release() {
  if (!fd_) return;
  struct stat ours {};
  struct stat there {};
  if (::fstat(fd_.get(), &ours) == 0 && ::stat(path_.c_str(), &there) == 0 &&
      ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
    ::unlink(path_.c_str());
  }
  fd_.reset();
}

}  // namespace godwit::supervise
