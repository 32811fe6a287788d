#pragma once

#include <coroutine>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task.h"
#include "store/postgresql/pool.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// A list that parcels are for.
struct Destination {
  Ref ref;
  unsigned waiting = 0;  // parcels
  unsigned trips = 0;    // under way
  // Somebody else was writing to it just now: until then its parcels wait for the lock by
  // themselves.
  Deadline::Clock::time_point busy_until{};
};

// One unit of work whose whole change is one statement, on its way to be committed.
struct Parcel {
  CommandPtr command;  // answers with last_modified and transaction id, or no row: nothing changed
  Deadline deadline = Deadline::never();
  int timeout_ms = 0;  // statement_timeout it needs
  bool fresh = false;  // writes an object whose id nobody else can use

  // Once done, unless committed: why. in_doubt: COMMIT was sent and not answered.
  bool done = false;
  bool committed = false;
  bool in_doubt = false;
  Failure why;
  std::int64_t backend_pid = 0;

  std::shared_ptr<Destination> to;
  unsigned trips = 0;
  std::coroutine_handle<> waiter;
};
using ParcelPtr = std::shared_ptr<Parcel>;

// Takes the parcels of one event loop to the database. Those that wait travel together, whatever
// their list: one transaction, which takes the locks of the lists, makes each change by one
// statement and commits, in one exchange where every object is fresh, else in two (the
// transaction's number must be known before COMMIT is sent, see decision 0052). Should a statement
// fail, its unit alone is told, and the others go again without it. A transaction for several lists
// never waits for a lock, so that it can neither cause a deadlock nor hold up one list for another;
// what it was refused goes list by list. See docs/decisions/0053-convoys.md and
// 0057-convoys-of-several-lists.md. Loop thread only.
class Convoy {
 public:
  // together: share commits; else every parcel has a transaction of its own.
  Convoy(Pool& pool, bool together)
      : pool_(pool), together_(together), alive_(std::make_shared<bool>(true)) {}
  ~Convoy() { *alive_ = false; }
  Convoy(const Convoy&) = delete;
  Convoy& operator=(const Convoy&) = delete;

  // Returns once the parcel is done: committed, refused, or past its deadline.
  Task<> carry(const Ref& ref, ParcelPtr parcel);

 private:
  struct Arrival;
  struct Load {
    std::vector<ParcelPtr> parcels;
    std::vector<std::shared_ptr<Destination>> lists;
    bool waits = false;  // for the lock of its only list; else it takes what is free
  };

  void departSoon();
  void depart();
  Load byThemselves();
  Load together();
  void take(Load& load, std::deque<ParcelPtr>::iterator& next);
  void start(Load load);
  Task<> travel(Load load);
  Task<> exchange(Lease& lease, Load& load);
  void settle(Parcel& parcel);
  void fail(Parcel& parcel, const Failure& why, bool in_doubt);
  CommandPtr put(Lease& lease, std::string_view sql, Params params, Deadline deadline);
  CommandPtr lock(Lease& lease, const Load& load, Deadline deadline);

  Pool& pool_;
  const bool together_;
  const std::shared_ptr<bool> alive_;  // false once destroyed; for posted jobs
  std::unordered_map<std::string, std::shared_ptr<Destination>> lists_;
  std::deque<ParcelPtr> waiting_;
  unsigned under_way_ = 0;  // trips that wait for no lock
  bool departing_ = false;
};

}  // namespace godwit::store::postgresql
