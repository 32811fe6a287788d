#pragma once

#include <string>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::store::sqlite {

// The lock between processes that serialises every write transaction and every checkpoint of one
// database: flock(2) on `<database>.lock`. SQLite has locks of its own, but before 3.51.3 a
// checkpoint of one connection that meets the commit of another can corrupt the file; during a
// reload two processes do both.
//
// flock alone is unfair: who unlocks and locks again at once always wins. So whoever wants the lock
// first takes a turn (a range lock on the same file) and keeps it until the lock is his; the holder
// cannot come back before those who wait. Both end with the process, however it ends. A lock file
// that somebody deleted is made again, so that all processes lock the same one.
// One thread.
class WriterLock {
 public:
  static Result<WriterLock> open(const std::string& database);

  // Never waits. True: held. False: somebody else has it; ask again soon, the turn may be kept.
  bool tryAcquire();
  void release();  // the lock and, when kept, the turn
  [[nodiscard]] bool held() const { return held_; }

 private:
  WriterLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  [[nodiscard]] bool stillThere() const;

  std::string path_;
  UniqueFd fd_;
  bool turn_ = false;
  bool held_ = false;
};

}  // namespace godwit::store::sqlite
