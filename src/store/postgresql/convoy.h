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

  unsigned trips = 0;
  std::coroutine_handle<> waiter;
};
using ParcelPtr = std::shared_ptr<Parcel>;

// Takes the parcels of one event loop to the database. Those that wait for the same list travel
// together: one transaction, which takes the list's lock, makes each change by one statement and
// commits, in one exchange where every object is fresh, else in two (the transaction's number must
// be known before COMMIT is sent, see decision 0052). Should a statement fail, its unit alone is
// told, and the others go again without it. See docs/decisions/0053-convoys.md. Loop thread only.
class Convoy {
 public:
  // together: share commits; else every parcel has a transaction of its own.
  Convoy(Pool& pool, bool together) : pool_(pool), together_(together) {}

  // Returns once the parcel is done: committed, refused, or past its deadline.
  Task<> carry(const Ref& ref, ParcelPtr parcel);

 private:
  struct Line {
    Ref ref;
    std::deque<ParcelPtr> waiting;
    unsigned trips = 0;  // under way
  };
  struct Arrival;
  using Load = std::vector<ParcelPtr>;

  void depart(const std::shared_ptr<Line>& line);
  Task<> travel(std::shared_ptr<Line> line, Load load);
  Task<> exchange(Lease& lease, const Ref& ref, Load& load);
  void settle(Parcel& parcel);
  void fail(Parcel& parcel, const Failure& why, bool in_doubt);
  CommandPtr put(Lease& lease, std::string_view sql, Params params, Deadline deadline);

  Pool& pool_;
  const bool together_;
  std::unordered_map<std::string, std::shared_ptr<Line>> lines_;
};

}  // namespace godwit::store::postgresql
