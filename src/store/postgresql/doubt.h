#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/task.h"
#include "store/postgresql/pool.h"
#include "store/types.h"

namespace godwit::store::postgresql {

// A transaction whose COMMIT was sent and not answered: how to find out what became of it.
struct InDoubt {
  std::int64_t transaction = 0;  // 0: its number never arrived
  std::int64_t backend_pid = 0;
  Ref ref;  // an object it wrote
  std::string id;
  std::int64_t at = 0;  // its timestamp, in microseconds
  bool fresh = false;   // nobody else can have written that object
};

struct Outcome {
  enum class Kind : std::uint8_t { kUnknown, kCommitted, kAborted };
  Kind kind = Kind::kUnknown;
  std::int64_t at = 0;  // of what was committed: the object's timestamp, in microseconds
};

// Finds out. See docs/decisions/0052-lost-commits.md. Any thread.
class Doubts {
 public:
  // Asks the database, on other connections, until the deadline. On the pool's loop.
  Task<Outcome> settle(Pool& pool, InDoubt doubt, Deadline deadline);

  [[nodiscard]] std::uint64_t met() const { return met_; }
  [[nodiscard]] std::uint64_t resolved() const { return resolved_; }

 private:
  static Task<Outcome> ask(Pool& pool, const InDoubt& doubt, Deadline deadline);
  static Task<Outcome> look(Pool& pool, const InDoubt& doubt, Deadline deadline, bool end,
                            bool* again);

  std::atomic<std::uint64_t> met_{0};
  std::atomic<std::uint64_t> resolved_{0};
};

}  // namespace godwit::store::postgresql
