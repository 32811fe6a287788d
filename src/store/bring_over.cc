#include "store/bring_over.h"

namespace godwit::store {
namespace {

// Takes the place of a tombstone until it is removed: below every real timestamp.
constexpr Timestamp kBeforeAll = 1;
constexpr const char* kMarker = "godwit-copy-timestamp";

}  // namespace

// A tombstone is made of an object from before all times, so that its timestamp counts as a wish
// for the future.
Task<Result<Brought>> bringOver(Session& s, const Ref& ref, const Object& object) {
  Brought how = Brought::kNew;
  Object wanted = object;
  if (object.deleted) {
    wanted.last_modified = kBeforeAll;
    wanted.deleted = false;
  }
  auto made = co_await s.create(ref, wanted);
  if (!made.ok() && made.error().code == ErrorCode::kConflict) {
    how = Brought::kReplaced;
    made = co_await s.get(ref, object.id);
    if (!made.ok()) co_return std::move(made).error();
    if (made->last_modified > object.last_modified) {
      co_return Error(ErrorCode::kConflict, "the target is newer than the source");
    }
    if (!object.deleted) made = co_await s.update(ref, wanted);
  }
  if (!made.ok()) co_return std::move(made).error();
  if (object.deleted) {
    made = co_await s.remove(ref, object.id, object.last_modified);
    if (!made.ok()) co_return std::move(made).error();
  }
  if (made->last_modified != object.last_modified) {
    co_return Error(ErrorCode::kInvalid, "the target is newer than the source");
  }
  co_return how;
}

// An object of that time, removed without trace, leaves it.
Task<Verdict> raiseTimestamp(Session& s, const Ref* ref, Timestamp at) {
  Object marker;
  marker.id = kMarker;
  marker.last_modified = at;
  auto made = co_await s.create(*ref, marker);
  if (!made.ok()) co_return Verdict::kRollback;
  Query only;
  Filter f;
  f.field = "id";
  f.value = json::Value(kMarker);
  only.filters.push_back(std::move(f));
  auto gone = co_await s.removeAll(*ref, only, false);
  co_return gone.ok() ? Verdict::kCommit : Verdict::kRollback;
}

}  // namespace godwit::store
