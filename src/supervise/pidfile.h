#pragma once

#include <sys/types.h>

#include <string>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::supervise {

// A locked file. The lock says whether an instance runs; the text is for people and scripts.
class LockFile {
 public:
  // Error kConflict: another process holds it.
  Result<> acquire(const std::string& path, bool write_pid);
  void adopt(int fd, const std::string& path);  // after a re-exec; the lock came along
  void release();                               // unlinks, if the file is still ours
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace godwit::supervise
