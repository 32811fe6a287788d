#include "metrics/segment_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::metrics::spool {
namespace {

#ifndef MADV_POPULATE_WRITE
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14
#endif

char* mapShared(int fd, std::size_t size) {
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return nullptr;
  // A child that does not know about us must not write into our lane.
  ::madvise(p, size, MADV_DONTFORK);
  return static_cast<char*>(p);
}

}  // namespace

SegmentMap& SegmentMap::operator=(SegmentMap&& o) noexcept {
  if (this != &o) {
    if (base_) ::munmap(base_, size_);
    base_ = std::exchange(o.base_, nullptr);
    size_ = std::exchange(o.size_, 0);
    dev_ = o.dev_;
    ino_ = o.ino_;
  }
  return *this;
}

SegmentMap::~SegmentMap() {
  if (base_) ::munmap(base_, size_);
}

Result<SegmentMap> SegmentMap::create(int dir_fd, const std::string& name, std::size_t size) {
  ::unlinkat(dir_fd, name.c_str(), 0);
  const UniqueFd fd(
      ::openat(dir_fd, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660));
  if (!fd) {
    if (errno == ENOSPC || errno == EDQUOT) return Error(ErrorCode::kLimit, "no space");
    return osError("create " + name);
  }
  ::fchmod(fd.get(), 0660);
  const auto giveUp = [&](Error e) {
    ::unlinkat(dir_fd, name.c_str(), 0);
    return e;
  };
  // Every block exists before the map does, so that no store can meet a full disk.
  if (const int err = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(size))) {
    if (err == ENOSPC || err == EDQUOT || err == EFBIG) {
      return giveUp(Error(ErrorCode::kLimit, "no space"));
    }
    return giveUp(osError("allocate " + name, err));
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return giveUp(osError("stat " + name));
  SegmentMap m;
  m.base_ = mapShared(fd.get(), size);
  if (!m.base_) return giveUp(osError("map " + name));
  m.size_ = size;
  m.dev_ = st.st_dev;
  m.ino_ = st.st_ino;
  return m;
}

Result<SegmentMap> SegmentMap::open(int dir_fd, const std::string& name) {
  const UniqueFd fd(::openat(dir_fd, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return osError("open " + name);
  const auto size = static_cast<std::uint64_t>(st.st_size);
  // Blocks below the size mean a hole, and a hole can meet a full disk later.
  if (!S_ISREG(st.st_mode) || size < kMinSegmentSize || size > kMaxSegmentSize ||
      static_cast<std::uint64_t>(st.st_blocks) * 512 < size) {
    return Error(ErrorCode::kInvalid, "not a whole segment: " + name);
  }
  SegmentMap m;
  m.base_ = mapShared(fd.get(), size);
  if (!m.base_) return osError("map " + name);
  m.size_ = size;
  m.dev_ = st.st_dev;
  m.ino_ = st.st_ino;
  return m;
}

bool SegmentMap::isFile(int dir_fd, const std::string& name) const {
  struct stat st {};
  return ::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == dev_ &&
         st.st_ino == ino_ && static_cast<std::uint64_t>(st.st_size) == size_;
}

void SegmentMap::populate() const { ::madvise(base_, size_, MADV_POPULATE_WRITE); }

}  // namespace godwit::metrics::spool
