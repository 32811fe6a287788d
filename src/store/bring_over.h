#pragma once

#include "store/backend.h"
#include "store/session.h"

// Writing what another store had, timestamps and all.
namespace godwit::store {

enum class Brought : std::uint8_t { kNew, kReplaced };

// Brings one object or tombstone over with its own timestamp. Of one list, oldest first. kConflict:
// the target has a newer object of that id, which is left alone. kInvalid: it cannot be given that
// timestamp (a newer tombstone, or another object has it); the unit must be rolled back.
Task<Result<Brought>> bringOver(Session& session, const Ref& ref, const Object& object);

// Raises the timestamp of a list that is newer than all it holds.
Task<Verdict> raiseTimestamp(Session& session, const Ref* ref, Timestamp at);

}  // namespace godwit::store
