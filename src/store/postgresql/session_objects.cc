// PgSession: single objects.
#include <algorithm>

#include "json/text.h"
#include "store/glob.h"
#include "store/postgresql/look.h"
#include "store/postgresql/session.h"
#include "store/postgresql/storable.h"
#include "store/stamp.h"

namespace godwit::store::postgresql {

namespace {

bool same(const Ref& a, const Ref& b) { return a.resource == b.resource && a.parent == b.parent; }

bool same(const std::optional<Ref>& a, const std::optional<Ref>& b) {
  return a ? b && same(*a, *b) : !b;
}

bool same(const LoadSpec& a, const LoadSpec& b) {
  return a.id == b.id && a.above_id == b.above_id && same(a.ref, b.ref) && same(a.above, b.above) &&
         a.user == b.user && a.uris == b.uris;
}

// URI, permissions, principals and, with `named`, the permissions that lose all others.
void appendEntries(Params& p, const std::string& uri, const Permissions& permissions, bool named) {
  std::vector<std::string_view> names;
  std::vector<std::string_view> kinds;
  std::vector<std::string_view> principals;
  for (const auto& [permission, holders] : permissions) names.push_back(permission);
  for (const auto& [permission, holder] : entriesOf(permissions)) {
    kinds.push_back(permission);
    principals.push_back(holder);
  }
  p.text(uri).texts(kinds).texts(principals);
  if (named) p.texts(names);
}

}  // namespace

// --- What was read, and whether it still holds

void PgSession::note(const Ref& ref, std::string_view id, std::optional<std::int64_t> at) {
  if (!writable()) return;
  if (auto* s = seen(ref, id)) {
    s->at = at;
    return;
  }
  seen_.push_back({ref, std::string(id), at});
}

PgSession::Seen* PgSession::seen(const Ref& ref, std::string_view id) {
  for (auto& s : seen_) {
    if (s.id == id && s.ref.resource == ref.resource && s.ref.parent == ref.parent) return &s;
  }
  return nullptr;
}

Task<Result<void>> PgSession::beforeRead(const Ref& ref) {
  if (!writable() || manner_ == Manner::kOptimistic) co_return Result<void>();
  auto done = co_await lock(ref);
  co_return done;
}

void PgSession::touch(const Ref& ref, std::string_view id) {
  if (!loaded_) return;
  const LoadSpec& spec = loaded_->first;
  bool object = spec.ref && spec.id == id && same(*spec.ref, ref);
  bool above = spec.above && spec.above_id == id && same(*spec.above, ref);
  if (object || above) loaded_.reset();
}

void PgSession::touch(std::string_view uri) {
  if (!loaded_) return;
  const auto& uris = loaded_->first.uris;
  if (isGlob(uri) || std::find(uris.begin(), uris.end(), uri) != uris.end()) loaded_.reset();
}

void PgSession::touchAll() {
  loaded_.reset();
  seen_.clear();
  newest_.clear();
}

// --- Reads

Task<Result<Loaded>> PgSession::load(const LoadSpec& spec) {
  if (auto e = blocked(false)) co_return std::move(*e);
  // The requests of a batch ask for the same again and again.
  if (loaded_ && same(loaded_->first, spec)) co_return loaded_->second;
  Look look(spec);
  if (spec.user.empty() && spec.uris.empty() && !spec.ref && !spec.above) {
    co_return std::move(look.loaded);
  }
  if (!representable(spec)) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  if (spec.ref) {
    auto ready = co_await beforeRead(*spec.ref);
    if (!ready.ok()) co_return std::move(ready).error();
  }
  auto ready = co_await beforeAsking(Where::kLane);
  if (!ready.ok()) co_return std::move(ready).error();
  auto command = std::make_shared<Command>(look, deadline_);
  CommandPtr sent = command;
  if (in_transaction_) sent = gather({command}, pool_.catalog());
  auto done = co_await answered(sent);
  if (!done.ok()) co_return std::move(done).error();
  if (in_transaction_) sent->gathering->share(sent->reply);
  if (spec.ref) note(*spec.ref, spec.id, look.at);
  if (spec.above) note(*spec.above, spec.above_id, look.above_at);
  if (writable()) loaded_.emplace(spec, look.loaded);
  co_return std::move(look.loaded);
}

Task<Result<Object>> PgSession::get(const Ref& ref, std::string_view id) {
  if (auto e = blocked(false)) co_return std::move(*e);
  auto ready = co_await beforeRead(ref);
  if (!ready.ok()) co_return std::move(ready).error();
  Params p;
  p.text(id).text(ref.parent).text(ref.resource);
  auto reply = co_await ask(sql::kGet, std::move(p), Where::kLane);
  if (!reply.ok()) co_return std::move(reply).error();
  if (reply->rows() == 0) {
    note(ref, id, std::nullopt);
    co_return Error(ErrorCode::kNotFound, "no such object");
  }
  note(ref, id, reply->micros(0, 1));
  Object object;
  object.id = id;
  object.data.clear();
  json::canonicalTo(object.data, reply->jsonb(0, 0));
  object.last_modified = reply->millis(0, 1);
  co_return object;
}

Task<Result<Timestamp>> PgSession::timestamp(const Ref& ref) {
  if (auto e = blocked(false)) co_return std::move(*e);
  if (writable()) {
    auto ready = co_await lock(ref);
    if (!ready.ok()) co_return std::move(ready).error();
  }
  Params p;
  p.text(ref.parent).text(ref.resource);
  auto reply = co_await ask(sql::kTimestamp, std::move(p), Where::kLane);
  if (!reply.ok()) co_return std::move(reply).error();
  if (!reply->null(0, 0)) co_return reply->millis(0, 0);
  if (!writable()) co_return needsWrite();
  Params insert;
  insert.ownText(ref.parent).ownText(ref.resource);
  auto made = co_await send(sql::kMakeTimestamp, std::move(insert));
  if (!made.ok()) co_return std::move(made).error();
  Params again;
  again.text(ref.parent).text(ref.resource);
  auto now = co_await ask(sql::kTimestamp, std::move(again), Where::kLane);
  if (!now.ok()) co_return std::move(now).error();
  co_return now->millis(0, 0);
}

// --- Writes

Result<Object> PgSession::written(Change& c, const Reply& reply) {
  c.object.last_modified = reply.millis(0, 0);
  c.object.deleted = c.remove;
  note(c.ref, c.object.id, c.remove ? std::nullopt : std::optional(reply.micros(0, 0)));
  if (!witness_ || !c.remove) witness(c, reply.int8(0, 1), reply.micros(0, 0));
  return std::move(c.object);
}

void PgSession::witness(const Change& c, std::int64_t transaction, std::int64_t at) {
  witness_ = InDoubt();
  witness_->transaction = transaction;
  witness_->ref = c.ref;
  witness_->id = c.object.id;
  witness_->at = at;
}

// Nothing was written, since the condition does not hold.
Result<Object> PgSession::refused(const Change& c) {
  Seen* before = seen(c.ref, c.object.id);
  if (c.remove && !(before && before->at)) return Error(ErrorCode::kNotFound, "no such object");
  // Seen alive and still to be created: a conflict. Otherwise somebody else was quicker than what
  // we saw, and the unit of work must look again.
  if (c.create && (!before || before->at)) {
    return Error(ErrorCode::kConflict, "an object with this id exists");
  }
  Failure stale;
  stale.sqlstate = kStaleRead;
  stale.message = "the object changed meanwhile";
  return fail(stale);
}

Task<Result<Object>> PgSession::write(Change c) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (c.object.last_modified < 0 || c.object.last_modified > kMaxTimestamp) {
    co_return Error(ErrorCode::kInvalid, "last_modified is out of range");
  }
  if (!c.remove) {
    auto storable = checkStorable(c.object.data);
    if (!storable.ok()) co_return std::move(storable).error();
  }
  bool alone = c.last && manner_ == Manner::kOptimistic && !in_transaction_ && !ride_;
  if (!alone) {
    auto ready = co_await lock(c.ref);
    if (!ready.ok()) co_return std::move(ready).error();
  }
  using Shape = sql::WriteShape;
  Seen* before = seen(c.ref, c.object.id);
  bool live = before && before->at;
  bool sure = true;  // of the condition, unless somebody was quicker
  Shape shape;
  if (c.remove) {
    shape.what = live ? Shape::What::kRemoveExpected : Shape::What::kRemove;
    sure = live;
  } else if (c.fresh && !live) {
    shape.what = Shape::What::kFresh;
  } else if (live && !c.create) {
    shape.what = Shape::What::kExpected;
  } else if (c.create || before) {
    shape.what = Shape::What::kCreate;
    sure = before && !live;
  } else {
    shape.what = Shape::What::kUpsert;
  }
  bool requested = c.object.last_modified != 0;
  std::optional<Timestamp> next;
  if (!alone && !requested && sure && manner_ == Manner::kOptimistic) next = following(c.ref);
  // A condition that fails unnoticed fails the whole ride. What we read before we boarded may be
  // stale, so the first conditional change is waited for.
  bool boarded = newest_from_ride_ && same(c.ref, ride_list_);
  if (boarded && shape.what != Shape::What::kFresh) next.reset();
  if (requested) shape.time = Shape::Time::kRequested;
  if (next && shape.what == Shape::What::kFresh) co_return add(c, *next);
  if (next) shape.time = Shape::Time::kExact;
  if (!c.permissions.empty()) shape.aces = c.fresh ? Shape::Aces::kAdd : Shape::Aces::kReplace;

  Params p;
  p.text(c.object.id).text(c.ref.parent).text(c.ref.resource);
  if (!c.remove) p.json(c.object.data);
  if (requested) p.integer(c.object.last_modified);
  if (next) p.integer(*next);
  bool expects = shape.what == Shape::What::kExpected || shape.what == Shape::What::kRemoveExpected;
  if (expects) p.integer(*before->at);
  if (!c.permissions.empty()) appendEntries(p, c.uri, c.permissions, !c.fresh);
  touch(c.ref, c.object.id);
  touch(c.uri);

  if (alone) {
    auto done = co_await writeLast(c, sql::write(shape), std::move(p));
    co_return done;
  }
  if (next) {
    p.keep();
    auto sent = co_await send(sql::write(shape), std::move(p));
    if (!sent.ok()) co_return std::move(sent).error();
    deferred_.back()->needs_row = true;
    c.object.last_modified = *next;
    c.object.deleted = c.remove;
    auto transaction = newest(c.ref)->transaction;
    if (!witness_) witness(c, transaction, *next * 1000);
    note(c.ref, c.object.id, c.remove ? std::nullopt : std::optional(*next * 1000));
    noteNewest(c.ref, *next, transaction);
    co_return std::move(c.object);
  }
  auto reply = co_await change(sql::write(shape), std::move(p));
  if (!reply.ok()) co_return std::move(reply).error();
  if (reply->rows() == 0) co_return refused(c);
  if (same(c.ref, ride_list_)) newest_from_ride_ = false;
  if (!requested || newest(c.ref)) {
    noteNewest(c.ref, reply->millis(0, 0), reply->int8(0, 1));
  }
  co_return written(c, *reply);
}

// Has the convoy commit the only write of this unit.
Task<Result<Object>> PgSession::writeLast(Change& c, std::string_view sql, Params params) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto parcel = std::make_shared<Parcel>();
  parcel->command =
      std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline_);
  parcel->deadline = deadline_;
  parcel->timeout_ms = statementTimeout(deadline_);
  parcel->fresh = c.fresh;
  co_await convoy_.carry(c.ref, parcel);
  const Reply& reply = parcel->command->reply;
  bool answered = parcel->command->done && reply.ok();
  if (answered && reply.rows() == 0 && (parcel->committed || parcel->in_doubt)) {
    co_return refused(c);
  }
  if (parcel->committed) {
    committed_ = true;
    co_return written(c, reply);
  }
  if (!parcel->in_doubt) co_return fail(parcel->why);
  InDoubt doubt;
  doubt.backend_pid = parcel->backend_pid;
  doubt.ref = c.ref;
  doubt.id = c.object.id;
  doubt.fresh = c.fresh;
  if (answered) {
    doubt.transaction = reply.int8(0, 1);
    doubt.at = reply.micros(0, 0);
  }
  Failure why = parcel->why;
  auto outcome = co_await doubts_.settle(pool_, std::move(doubt), deadline_);
  if (outcome.kind == Outcome::Kind::kCommitted) {
    committed_ = true;
    c.object.last_modified = (outcome.at + 500) / 1000;
    c.object.deleted = c.remove;
    co_return std::move(c.object);
  }
  if (outcome.kind == Outcome::Kind::kAborted) {
    why.sqlstate = kStaleRead;
    why.timeout = why.lost = false;
  } else {
    why.unknown = true;
  }
  co_return fail(why);
}

Task<Result<Object>> PgSession::create(const Ref& ref, Object object) {
  Change c(ref);
  c.object = std::move(object);
  c.create = true;
  auto done = co_await write(std::move(c));
  co_return done;
}

Task<Result<Object>> PgSession::update(const Ref& ref, Object object) {
  Change c(ref);
  c.object = std::move(object);
  auto done = co_await write(std::move(c));
  co_return done;
}

Task<Result<Object>> PgSession::put(Put put) {
  Change c(put.ref);
  c.object = std::move(put.object);
  c.create = put.create;
  c.fresh = put.fresh;
  c.last = put.last;
  c.uri = std::move(put.uri);
  c.permissions = std::move(put.permissions);
  auto done = co_await write(std::move(c));
  co_return done;
}

Task<Result<Object>> PgSession::remove(const Ref& ref, std::string_view id, Timestamp requested) {
  Change c(ref);
  c.object.id = id;
  c.object.data = "{}";
  c.object.last_modified = requested;
  c.remove = true;
  auto done = co_await write(std::move(c));
  co_return done;
}

}  // namespace godwit::store::postgresql
