#include "store/postgresql/session.h"

#include <algorithm>
#include <iterator>

#include "json/text.h"
#include "store/postgresql/storable.h"
#include "store/stamp.h"

namespace godwit::store::postgresql {

namespace {

constexpr std::size_t kFlushEvery = 32;  // deferred statements buffered before they are written out
constexpr int kTimeoutSteps[] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 3600};  // seconds

// statement_timeout for a deadline: the next step above, so that sessions seldom have to change it.
// The exact deadline is held by the pool.
int timeoutFor(Deadline deadline) {
  auto left = std::chrono::duration_cast<std::chrono::seconds>(deadline.remaining()).count();
  for (int step : kTimeoutSteps) {
    if (left < step) return step * 1000;
  }
  return kTimeoutSteps[std::size(kTimeoutSteps) - 1] * 1000;
}

class Settled {
 public:
  explicit Settled(Ride::Rider& rider) : rider_(rider) {}
  bool await_ready() const { return rider_.done; }
  void await_suspend(std::coroutine_handle<> h) { rider_.waiter = h; }
  void await_resume() const {}

 private:
  Ride::Rider& rider_;
};

Failure refusalOf(const Error& error) {
  Failure f;
  f.message = error.detail.empty() ? error.message : error.detail;
  f.refused = true;
  return f;
}

}  // namespace

// --- Statements

Error PgSession::fail(const Failure& failure) {
  if (!failure_) failure_ = failure;
  return toError(*failure_);
}

Error PgSession::needsWrite() {
  met_needs_write_ = true;
  return Error(ErrorCode::kNeedsWrite, "this changes something");
}

std::optional<Error> PgSession::blocked(bool changes) {
  if (failure_) return toError(*failure_);
  if (changes && !writable()) return needsWrite();
  return std::nullopt;
}

Task<Reply> PgSession::answerOf(CommandPtr command) {
  Answered answered(*command);
  co_await answered;
  Reply reply = std::move(command->reply);
  co_return reply;
}

CommandPtr PgSession::put(std::string_view sql, Params params) {
  auto command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline_);
  if (lease_->ready()) {
    lease_->send(command);
    return command;
  }
  // The connection died while nothing was on its way.
  Failure why;
  why.lost = true;
  why.message = "the connection was lost";
  command->reply = Reply(std::move(why));
  command->done = true;
  return command;
}

// The failure that made the server skip the rest of the group, when it belongs to a statement that
// nobody waited for.
Failure PgSession::firstDeferredFailure(const Command& command) {
  for (const auto& c : deferred_) {
    if (c->done && !c->reply.ok() && !c->skipped) return c->reply.failure();
  }
  Failure f = command.reply.failure();
  // Skipped for the fault of another unit of the same transaction.
  if (command.skipped) f.sqlstate = kStaleRead;
  return f;
}

Task<Result<void>> PgSession::lease() {
  if (lease_) co_return Result<void>();
  auto got = co_await pool_.acquire(deadline_);
  if (!got.ok()) co_return fail(refusalOf(got.error()));
  lease_ = std::move(*got);
  // A change of the session's timeout goes in a group of its own: within a transaction that rolls
  // back it would be undone.
  int wanted = timeoutFor(deadline_);
  if (lease_->timeout_ms != wanted) {
    lease_->timeout_ms = wanted;
    Params p;
    p.ownText(std::to_string(wanted));
    put("SELECT set_config('statement_timeout', $1, false)", std::move(p));
    lease_->sync();
  }
  co_return Result<void>();
}

Task<Result<void>> PgSession::begin() {
  if (in_transaction_) co_return Result<void>();
  auto leased = co_await lease();
  if (!leased.ok()) co_return std::move(leased).error();
  in_transaction_ = true;
  deferred_.push_back(put(writable() ? sql::kBegin : sql::kBeginRead, Params()));
  co_return Result<void>();
}

Task<Result<Reply>> PgSession::ask(std::string_view sql, Params params, Where where) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  if (!writable() && !in_transaction_) {
    if (read_outside_) {
      Failure again;
      again.sqlstate = kNeedsSnapshot;
      again.message = "a second read needs a snapshot";
      co_return fail(again);
    }
    if (mode_ == Mode::kScan || manner_ == Manner::kSnapshot || where == Where::kOwn) {
      auto begun = co_await begin();
      if (!begun.ok()) co_return std::move(begun).error();
    } else {
      read_outside_ = true;
    }
  }
  CommandPtr command;
  if (in_transaction_ || where == Where::kOwn) {
    auto leased = co_await lease();
    if (!leased.ok()) co_return std::move(leased).error();
    command = put(sql, std::move(params));
    lease_->sync();
    pool_.flush(*lease_.operator->());
    unflushed_ = 0;
  } else {
    command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline_);
    pool_.read(command);
  }
  Answered answered(*command);
  co_await answered;
  if (!command->reply.ok()) co_return fail(firstDeferredFailure(*command));
  Reply reply = std::move(command->reply);
  if (in_transaction_) deferred_.clear();  // answered before this, and well
  co_return reply;
}

Task<Result<Reply>> PgSession::change(std::string_view sql, Params params) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto begun = co_await begin();
  if (!begun.ok()) co_return std::move(begun).error();
  changed_ = true;
  auto reply = co_await ask(sql, std::move(params), Where::kOwn);
  co_return reply;
}

Task<Result<void>> PgSession::send(std::string_view sql, Params params) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto begun = co_await begin();
  if (!begun.ok()) co_return std::move(begun).error();
  changed_ = true;
  deferred_.push_back(put(sql, std::move(params)));
  if (++unflushed_ >= kFlushEvery) {
    pool_.flush(*lease_.operator->());
    unflushed_ = 0;
  }
  co_return Result<void>();
}

// --- The transaction

bool PgSession::locked(const Ref& ref) const {
  return std::any_of(locked_.begin(), locked_.end(), [&](const Ref& r) {
    return r.resource == ref.resource && r.parent == ref.parent;
  });
}

Task<Result<void>> PgSession::lock(const Ref& ref) {
  if (locked(ref)) co_return Result<void>();
  if (lines_ && !in_transaction_) {
    auto turn = co_await takeTurn(ref);
    if (!turn.ok()) co_return turn;
    if (locked(ref)) co_return Result<void>();
  }
  Params p;
  p.ownText(ref.parent).ownText(ref.resource);
  auto sent = co_await send(sql::kLockList, std::move(p));
  if (sent.ok()) locked_.push_back(ref);
  co_return sent;
}

// Waits until no other unit of this loop has the list, or gets the transaction of one that has.
Task<Result<void>> PgSession::takeTurn(const Ref& ref) {
  auto boarded = co_await lines_->board(ref, deadline_, timeoutFor(deadline_));
  if (!boarded.ok()) co_return fail(refusalOf(boarded.error()));
  ride_ = std::move(*boarded);
  ride_list_ = ref;
  if (!ride_->lease) co_return Result<void>();
  lease_ = std::move(ride_->lease);
  in_transaction_ = true;
  locked_.push_back(ref);
  deferred_.push_back(put(sql::kSavepoint, Params()));
  ride_->savepoint = true;
  co_return Result<void>();
}

void PgSession::leaveLine() {
  if (!ride_) return;
  lines_->leave(ride_list_);
  ride_.reset();
}

void PgSession::settleRiders(bool committed, bool in_doubt, const Failure& why) {
  if (!ride_) return;
  for (auto* rider : std::exchange(ride_->riders, {})) {
    rider->committed = committed;
    rider->in_doubt = in_doubt;
    rider->why = why;
    lines_->resume(*rider);
  }
}

// A snapshot ends without anybody waiting for it.
void PgSession::endRead() {
  if (in_transaction_ && lease_ && lease_->ready()) {
    if (std::any_of(deferred_.begin(), deferred_.end(), [](const auto& c) { return !c->done; })) {
      lease_->sync();
    }
    put(sql::kRollback, Params());
    lease_->sync();
    pool_.flush(*lease_.operator->());
  }
  in_transaction_ = false;
  lease_.releaseWhenAnswered();
}

Task<Result<void>> PgSession::commit() {
  if (!writable()) {
    endRead();
    if (failure_) co_return toError(*failure_);
    co_return Result<void>();
  }
  if (!in_transaction_) {
    leaveLine();
    lease_.release();
    co_return Result<void>();
  }
  if (failure_) {
    Failure why = *failure_;
    co_await rollback();
    co_return toError(why);
  }
  bool alone = !ride_ || locked_.size() > 1 || !lines_->mayHandOn(ride_list_, *ride_);
  if (alone) {
    auto done = co_await commitAll();
    co_return done;
  }
  auto done = co_await rideOn();
  co_return done;
}

// Hands the transaction to the next unit in line and waits for the commit that covers both.
Task<Result<void>> PgSession::rideOn() {
  if (ride_->savepoint) put(sql::kRelease, Params());
  auto pid = lease_->backendPid();
  Ride::Rider me;
  auto ride = std::move(ride_);
  if (ride->riders.empty()) ride->began = Deadline::Clock::now();
  ride->riders.push_back(&me);
  ride->lease = std::move(lease_);
  in_transaction_ = false;
  lines_->handOn(ride_list_, std::move(ride));
  Settled settled(me);
  co_await settled;
  if (me.committed) co_return Result<void>();
  Error error = fail(me.why);
  if (me.in_doubt) {
    in_doubt_ = witness_ ? std::move(witness_) : InDoubt();
    in_doubt_->backend_pid = pid;
  }
  co_return error;
}

// Commits what this and the units before it did.
Task<Result<void>> PgSession::commitAll() {
  if (!lease_->ready()) {
    Failure lost;
    lost.lost = true;
    lost.message = "the connection was lost before the commit";
    Error error = fail(lost);
    co_await rollback();
    co_return error;
  }
  CommandPtr command = put(sql::kCommit, Params());
  lease_->sync();
  auto pid = lease_->backendPid();
  pool_.flush(*lease_.operator->());
  // The next in line may begin: its lock waits in the server for this commit.
  if (ride_) lines_->leave(ride_list_);
  Answered waiting(*command);
  co_await waiting;
  const Reply& reply = command->reply;
  if (reply.ok() && reply.tag() == "COMMIT") {
    in_transaction_ = false;
    settleRiders(true, false, Failure());
    ride_.reset();
    lease_.release();
    co_return Result<void>();
  }
  Failure why;
  why.message = "the server rolled back instead of committing";
  Failure first = reply.ok() ? why : firstDeferredFailure(*command);
  // A statement before the commit failed with an answer: nothing was committed. So it is with a
  // commit that failed with one. Everything else is in doubt.
  bool answered = !first.lost && !first.timeout && !first.is("57014");
  // The units before this one did nothing wrong; they try again by themselves.
  Failure others = first;
  if (answered) others.sqlstate = kStaleRead;
  others.timeout = false;
  settleRiders(false, !answered, others);
  ride_.reset();
  Error error = fail(first);
  if (!answered && changed_) {
    in_doubt_ = witness_ ? std::move(witness_) : InDoubt();
    in_doubt_->backend_pid = pid;
    lease_.release();
    in_transaction_ = false;
    co_return error;
  }
  co_await rollback();
  co_return error;
}

Task<> PgSession::rollback() {
  if (!writable()) {
    endRead();
    co_return;
  }
  if (ride_ && in_transaction_ && !ride_->riders.empty()) {
    co_await undoOwn();
    co_return;
  }
  if (in_transaction_ && lease_ && lease_->ready()) {
    // A group that fails is skipped up to its Sync: ROLLBACK must not be in one.
    if (std::any_of(deferred_.begin(), deferred_.end(), [](const auto& c) { return !c->done; })) {
      lease_->sync();
    }
    CommandPtr command = put(sql::kRollback, Params());
    lease_->sync();
    pool_.flush(*lease_.operator->());
    leaveLine();
    Reply reply = co_await answerOf(std::move(command));
    static_cast<void>(reply);  // when it failed, the lease closes the connection
  }
  leaveLine();
  in_transaction_ = false;
  lease_.release();
}

// Undoes this unit alone and sees the others' work to its commit.
Task<> PgSession::undoOwn() {
  Failure why;
  why.sqlstate = kStaleRead;
  why.message = "a unit of the same transaction failed";
  if (lease_ && lease_->ready()) {
    lease_->sync();
    put(sql::kRollbackTo, Params());
    CommandPtr released = put(sql::kRelease, Params());
    lease_->sync();
    pool_.flush(*lease_.operator->());
    Reply reply = co_await answerOf(std::move(released));
    if (reply.ok()) {
      ride_->savepoint = false;
      deferred_.clear();
      if (locked_.size() == 1 && lines_->mayHandOn(ride_list_, *ride_)) {
        auto ride = std::move(ride_);
        ride->lease = std::move(lease_);
        in_transaction_ = false;
        lines_->handOn(ride_list_, std::move(ride));
        co_return;
      }
      CommandPtr command = put(sql::kCommit, Params());
      lease_->sync();
      pool_.flush(*lease_.operator->());
      lines_->leave(ride_list_);
      Reply done = co_await answerOf(std::move(command));
      bool committed = done.ok() && done.tag() == "COMMIT";
      Failure lost = why;
      if (!done.ok()) lost = done.failure();
      lost.timeout = false;
      bool answered = done.ok() || (!lost.lost && !lost.is("57014"));
      settleRiders(committed, !committed && !answered, answered ? why : lost);
      ride_.reset();
      in_transaction_ = false;
      lease_.release();
      co_return;
    }
  }
  settleRiders(false, false, why);
  leaveLine();
  in_transaction_ = false;
  lease_.release();
}

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

// --- Objects

Task<Result<Loaded>> PgSession::load(const LoadSpec& spec) {
  if (auto e = blocked(false)) co_return std::move(*e);
  sql::LoadShape shape;
  shape.groups = !spec.user.empty();
  shape.aces = !spec.uris.empty();
  shape.object = spec.ref.has_value();
  Loaded out;
  if (!shape.groups && !shape.aces && !shape.object) co_return out;
  if (shape.object) {
    auto ready = co_await beforeRead(*spec.ref);
    if (!ready.ok()) co_return std::move(ready).error();
  }
  Params p;
  if (shape.groups) p.text(spec.user);
  if (shape.aces) p.array(spec.uris);
  if (shape.object) p.text(spec.id).text(spec.ref->parent).text(spec.ref->resource);
  auto reply = co_await ask(sql::load(shape), std::move(p), Where::kLane);
  if (!reply.ok()) co_return std::move(reply).error();
  std::optional<std::int64_t> at;
  for (int i = 0; i < reply->rows(); ++i) {
    switch (reply->text(i, 0).front()) {
      case 'g':
        // A group may hold both the user and everybody who is logged in.
        if (std::find(out.groups.begin(), out.groups.end(), reply->text(i, 1)) ==
            out.groups.end()) {
          out.groups.emplace_back(reply->text(i, 1));
        }
        break;
      case 'a': {
        Ace ace;
        ace.uri = reply->text(i, 1);
        ace.permission = reply->text(i, 2);
        ace.principal = reply->text(i, 3);
        out.aces.push_back(std::move(ace));
        break;
      }
      default: {
        Object object;
        object.id = spec.id;
        object.data.clear();
        json::canonicalTo(object.data, reply->jsonb(i, 4));
        object.last_modified = reply->millis(i, 5);
        at = reply->micros(i, 5);
        out.object = std::move(object);
      }
    }
  }
  if (shape.object) note(*spec.ref, spec.id, at);
  co_return out;
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

Result<Object> PgSession::written(const Ref& ref, Object object, const Reply& reply) {
  object.last_modified = reply.millis(0, 0);
  note(ref, object.id, object.deleted ? std::nullopt : std::optional(reply.micros(0, 0)));
  if (!witness_ || !object.deleted) {
    witness_ = InDoubt();
    witness_->transaction = reply.int8(0, 1);
    witness_->ref = ref;
    witness_->id = object.id;
    witness_->at = reply.micros(0, 0);
  }
  return object;
}

Task<Result<Object>> PgSession::write(const Ref& ref, Object object, bool create) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (object.last_modified < 0 || object.last_modified > kMaxTimestamp) {
    co_return Error(ErrorCode::kInvalid, "last_modified is out of range");
  }
  auto storable = checkStorable(object.data);
  if (!storable.ok()) co_return std::move(storable).error();
  auto ready = co_await lock(ref);
  if (!ready.ok()) co_return std::move(ready).error();

  Seen* before = seen(ref, object.id);
  auto kind = create ? sql::Write::kCreate : sql::Write::kUpsert;
  if (before && before->at && !create) kind = sql::Write::kExpected;
  if (before && !before->at) kind = sql::Write::kCreate;
  bool at = object.last_modified != 0;
  Params p;
  p.text(object.id).text(ref.parent).text(ref.resource).json(object.data);
  if (at) p.integer(object.last_modified);
  if (kind == sql::Write::kExpected) p.integer(*before->at);
  auto reply = co_await change(sql::write(kind, at), std::move(p));
  if (!reply.ok()) co_return std::move(reply).error();
  if (reply->rows() > 0) {
    object.deleted = false;
    co_return written(ref, std::move(object), *reply);
  }
  // Seen alive and still to be created: a conflict. Otherwise somebody else was quicker than what
  // we saw, and the unit of work must look again.
  before = seen(ref, object.id);
  if (create && (!before || before->at)) {
    co_return Error(ErrorCode::kConflict, "an object with this id exists");
  }
  Failure stale;
  stale.sqlstate = kStaleRead;
  stale.message = "the object changed meanwhile";
  co_return fail(stale);
}

Task<Result<Object>> PgSession::create(const Ref& ref, Object object) {
  auto done = co_await write(ref, std::move(object), true);
  co_return done;
}

Task<Result<Object>> PgSession::update(const Ref& ref, Object object) {
  auto done = co_await write(ref, std::move(object), false);
  co_return done;
}

Task<Result<Object>> PgSession::remove(const Ref& ref, std::string_view id, Timestamp requested) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (requested < 0 || requested > kMaxTimestamp) {
    co_return Error(ErrorCode::kInvalid, "last_modified is out of range");
  }
  auto ready = co_await lock(ref);
  if (!ready.ok()) co_return std::move(ready).error();
  Seen* before = seen(ref, id);
  bool expected = before && before->at;
  Params p;
  p.text(id).text(ref.parent).text(ref.resource);
  if (requested != 0) p.integer(requested);
  if (expected) p.integer(*before->at);
  auto reply = co_await change(sql::remove(expected, requested != 0), std::move(p));
  if (!reply.ok()) co_return std::move(reply).error();
  if (reply->rows() == 0) {
    if (!expected) co_return Error(ErrorCode::kNotFound, "no such object");
    Failure stale;
    stale.sqlstate = kStaleRead;
    stale.message = "the object changed meanwhile";
    co_return fail(stale);
  }
  Object object;
  object.id = id;
  object.deleted = true;
  co_return written(ref, std::move(object), *reply);
}

}  // namespace godwit::store::postgresql
