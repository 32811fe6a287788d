#pragma once

#include <chrono>
#include <coroutine>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task.h"
#include "store/postgresql/pool.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// Units of work that write to one list take turns, since its timestamps must become visible in
// order. Were each to commit before the next may begin, one list would take one write per sync of
// the server's disk. So those of one event loop that wait for the same list share a transaction:
// a unit that has finished hands it on, still open, and is answered when the last one's COMMIT
// covers them all. Each runs behind a savepoint and undoes only its own. See
// docs/decisions/0051-shared-commits.md.
struct Ride {
  // The newest timestamp of the list, which is locked, and when it was, by the wall clock.
  struct Newest {
    Timestamp at = 0;
    Timestamp seen_ms = 0;
    bool now_like = false;         // it was the time of the moment, not one from the future
    std::int64_t transaction = 0;  // the number of ours
  };
  // A unit that has finished and waits for the commit.
  struct Rider {
    std::coroutine_handle<> waiter;
    bool done = false;
    bool committed = false;
    bool in_doubt = false;  // COMMIT was sent and not answered
    Failure why;
  };
  Lease lease;  // while it changes hands
  int timeout_ms = 0;
  unsigned units = 0;
  bool savepoint = false;               // of the unit at work
  Deadline::Clock::time_point began{};  // when the first unit had finished
  std::optional<Newest> newest;         // once a unit has been told
  std::vector<Rider*> riders;
};

// The queues for the lists that units of one event loop write to. Loop thread only.
class Lines {
 public:
  explicit Lines(Pool& pool) : pool_(pool) {}

  // Waits for the turn. The ride has a lease when it is handed on, none when it is the caller's to
  // begin. kTimeout when the deadline passes first.
  Task<Result<std::shared_ptr<Ride>>> board(const Ref& ref, Deadline deadline, int timeout_ms);
  // Is somebody waiting who may join this ride now?
  [[nodiscard]] bool mayHandOn(const Ref& ref, const Ride& ride);
  void handOn(const Ref& ref, std::shared_ptr<Ride> ride);  // REQUIRES mayHandOn
  // The caller's transaction is over or about to be: the next may begin one.
  void leave(const Ref& ref);
  void resume(Ride::Rider& rider);

 private:
  struct Waiter {
    int timeout_ms;
    std::coroutine_handle<> handle;
    std::shared_ptr<Ride> ride;
    bool late = false;
  };
  struct Turn;
  using Line = std::deque<Waiter*>;
  static std::string keyOf(const Ref& ref) { return ref.parent + '\n' + ref.resource; }

  Pool& pool_;
  std::unordered_map<std::string, Line> lines_;  // an entry: somebody has the turn
};

}  // namespace godwit::store::postgresql
