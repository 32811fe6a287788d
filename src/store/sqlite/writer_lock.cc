#include "store/sqlite/writer_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/os_error.h"

namespace godwit::store::sqlite {
namespace {

UniqueFd openFile(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

bool rangeLock(int fd, short type) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = 0;
  range.l_len = 1;
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

}  // namespace

Result<WriterLock> WriterLock::open(const std::string& database) {
  std::string path = database + ".lock";
  UniqueFd fd = openFile(path);
  if (!fd) return osError("open " + path);
  return WriterLock(std::move(path), std::move(fd));
}

bool WriterLock::stillThere() const {
  struct stat mine = {};
  struct stat now = {};
  return ::fstat(fd_.get(), &mine) == 0 && ::stat(path_.c_str(), &now) == 0 &&
         mine.st_ino == now.st_ino && mine.st_dev == now.st_dev;
}

bool WriterLock::tryAcquire() {
  if (held_) return true;
  if (!turn_) turn_ = rangeLock(fd_.get(), F_WRLCK);
  if (!turn_) return false;
  held_ = ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0;
  if (!held_) return false;
  rangeLock(fd_.get(), F_UNLCK);
  turn_ = false;
  if (stillThere()) return true;
  release();
  if (UniqueFd again = openFile(path_)) fd_ = std::move(again);
  return false;
}

void WriterLock::release() {
  if (held_) ::flock(fd_.get(), LOCK_UN);
  if (turn_) rangeLock(fd_.get(), F_UNLCK);
  held_ = turn_ = false;
}

}  // namespace godwit::store::sqlite
