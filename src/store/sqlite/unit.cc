#include <algorithm>

#include "store/sqlite/writer.h"

namespace godwit::store::sqlite {

Error stopping() { return {ErrorCode::kUnavailable, "the storage is stopping"}; }
Error tooLate() { return {ErrorCode::kTimeout, "the storage took too long"}; }

Result<Verdict> Unit::run(SqliteStore& store, bool writable) const {
  if (local) return local(store);
  LocalSession session(store, writable);
  return drive(work, session);
}

void deliver(std::vector<Completion> completions) {
  // One message per loop, not per unit.
  while (!completions.empty()) {
    Reactor* home = completions.front().unit->home;
    auto others = std::stable_partition(completions.begin(), completions.end(),
                                        [&](const auto& c) { return c.unit->home == home; });
    std::vector<Completion> mine(std::make_move_iterator(completions.begin()),
                                 std::make_move_iterator(others));
    completions.erase(completions.begin(), others);
    home->post([mine = std::move(mine)]() mutable {
      for (Completion& c : mine) {
        c.unit->done(std::move(c.result));
        c.unit.reset();
      }
    });
  }
}

void deliver(std::unique_ptr<Unit> unit, Result<Verdict> result) {
  std::vector<Completion> one;
  one.push_back({std::move(unit), std::move(result)});
  deliver(std::move(one));
}

}  // namespace godwit::store::sqlite
