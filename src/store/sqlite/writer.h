#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/reactor.h"
#include "store/backend.h"
#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/writer_lock.h"

namespace godwit::store::sqlite {

// A unit of work on its way: to the writer or to a scan thread, and back to its loop.
struct Unit {
  Reactor* home = nullptr;
  Deadline deadline = Deadline::never();
  Work work;  // or:
  std::function<Result<Verdict>(SqliteStore&)> local;
  Done done;

  // Runs it in the transaction `store` is in.
  Result<Verdict> run(SqliteStore& store, bool writable) const;
};

// Calls `done` of each on its loop; the units live until then.
struct Completion {
  std::unique_ptr<Unit> unit;
  Result<Verdict> result;
};
void deliver(std::vector<Completion> completions);
void deliver(std::unique_ptr<Unit> unit, Result<Verdict> result);

Error stopping();
Error tooLate();

// The one thread of this process that writes. It takes whatever has queued up, runs each unit in a
// savepoint of one transaction, commits once and only then answers: group commit. A unit that fails
// undoes its savepoint; a commit that fails fails the group, and nothing of it was acknowledged.
class Writer {
 public:
  struct Limits {
    std::size_t max_queue = 4096;
    std::size_t max_group = 256;
    std::size_t wal_pages = 8192;
  };

  Writer(std::unique_ptr<Connection> connection, WriterLock lock, std::string path,
         const Clock& clock, Limits limits);
  ~Writer();  // stops at once: queued units are answered kUnavailable
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Any thread. kUnavailable when the queue is full or the writer stops.
  void submit(std::unique_ptr<Unit> unit);
  // Finishes what is queued, up to the deadline, and empties the log. Not on a loop thread.
  void stop(Deadline deadline);

 private:
  using Units = std::vector<std::unique_ptr<Unit>>;

  void loop();
  void gather(std::unique_lock<std::mutex>& lock);
  void runGroup(Units group);
  // Waits until `attempt` succeeds; answers units whose deadline passes meanwhile, here and in the
  // queue. False when none is left, or the writer must end.
  template <class Attempt>
  bool persist(Units& group, Attempt attempt);
  bool expire(Units& group);
  void expireQueue();
  void transact(Units group);
  void failAll(Units group, const Error& error);
  void giveBack(Units rest);
  void maybeCheckpoint();
  bool sameFile() const;
  void complain(const Error& error);

  // Set once
  const std::string path_;
  const Limits limits_;
  dev_t device_ = 0;  // of the file that was opened: a file put in its place is not ours
  ino_t inode_ = 0;

  // Writer thread only
  std::unique_ptr<Connection> connection_;
  WriterLock lock_;
  SqliteStore store_;
  std::vector<Completion> finished_;
  Deadline next_complaint_ = Deadline::after({});
  std::size_t checkpointed_pages_ = 0;

  std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_
  std::deque<std::unique_ptr<Unit>> queue_;
  std::size_t awaited_ = 1;     // the queue length worth a wake-up
  std::size_t last_group_ = 1;  // how many were taken together
  bool stopping_ = false;
  Deadline stop_deadline_ = Deadline::never();

  std::thread thread_;
};

}  // namespace godwit::store::sqlite
