#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>

#include "store/postgresql/pool.h"

namespace godwit::store::postgresql {

// A replica for reads of one event loop, and how far it is behind. Loop thread only.
//
// While it is asked for, the position of the primary's log is noted again and again. Once the
// replica has replayed one, it shows everything that had been committed when that was noted. This
// needs no clock but our own, and a primary that writes nothing does not make the replica look old.
class Replica {
 public:
  Replica(Reactor& loop, const Options& options, std::shared_ptr<Resolver> resolver, Pool& primary)
      : pool_(loop, options, options.read_url, std::move(resolver)),
        primary_(primary),
        staleness_(options.read_staleness),
        state_(std::make_shared<State>()) {}

  [[nodiscard]] Pool& pool() { return pool_; }
  // Does it hold what was committed `read_staleness` ago? Looks anew from time to time.
  bool fresh();

 private:
  using Clock = Deadline::Clock;
  struct Mark {
    Clock::time_point at;
    std::int64_t position = 0;  // bytes of the primary's log
  };
  struct State {
    std::deque<Mark> marks;  // not replayed yet when last looked
    Clock::time_point as_of{};
    bool looking = false;
  };
  static Task<> look(Pool& primary, Pool& replica, std::shared_ptr<State> state);

  Pool pool_;
  Pool& primary_;
  const std::chrono::milliseconds staleness_;
  const std::shared_ptr<State> state_;  // outlives us in a look that is under way
  Clock::time_point looked_{};
};

}  // namespace godwit::store::postgresql
