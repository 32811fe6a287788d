#pragma once

#include <optional>

#include "store/blocking_store.h"

// Forgetting what is old. Blocking; servers may run on the same store.
namespace godwit::ops {

struct PurgeRequest {
  std::optional<store::Timestamp> before;  // Unix milliseconds; nothing: all
  bool dry_run = false;                    // count what would go, in a unit that is rolled back
};

// How many tombstones, of every resource.
Result<std::uint64_t> purgeTombstones(store::BlockingStore& store, const PurgeRequest& request);
// How many entries of the history, in units of some thousands so that writers get their turn.
Result<std::uint64_t> purgeHistory(store::BlockingStore& store, const PurgeRequest& request);

}  // namespace godwit::ops
