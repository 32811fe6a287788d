#include "store/postgresql/session.h"

#include <algorithm>
#include <iterator>

namespace godwit::store::postgresql {

namespace {

constexpr std::size_t kFlushEvery = 32;  // deferred statements buffered before they are written out
constexpr int kTimeoutSteps[] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 3600};  // seconds

Failure refusalOf(const Error& error) {
  Failure f;
  f.message = error.detail.empty() ? error.message : error.detail;
  f.refused = true;
  return f;
}

}  // namespace

int statementTimeout(Deadline deadline) {
  auto left = std::chrono::duration_cast<std::chrono::seconds>(deadline.remaining()).count();
  for (int step : kTimeoutSteps) {
    if (left < step) return step * 1000;
  }
  return kTimeoutSteps[std::size(kTimeoutSteps) - 1] * 1000;
}

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
  if (committed_) return Error(ErrorCode::kInternal, "internal error", "a call after the last");
  if (changes && !writable()) return needsWrite();
  return std::nullopt;
}

Task<Reply> PgSession::answerOf(CommandPtr command) {
  Answered answered(*command);
  co_await answered;
  Reply reply = std::move(command->reply);
  co_return reply;
}

CommandPtr PgSession::queue(std::string_view sql, Params params) {
  auto command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline_);
  queue(command);
  return command;
}

void PgSession::queue(const CommandPtr& command) {
  sendAddition();  // what came before
  if (lease_->ready()) return lease_->send(command);
  // The connection died while nothing was on its way.
  Failure why;
  why.lost = true;
  why.message = "the connection was lost";
  command->reply = Reply(std::move(why));
  command->done = true;
}

// The failure that made the server skip the rest of the group, when it belongs to a statement that
// nobody waited for.
Failure PgSession::firstDeferredFailure(const Command& command) {
  for (const auto& c : deferred_) {
    if (!c->done || c->reply.ok() || c->skipped) continue;
    Failure f = c->reply.failure();
    if (c->needs_row && f.is("22012")) f.sqlstate = kStaleRead;
    return f;
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
  pool_.limitStatements(lease_, statementTimeout(deadline_));
  co_return Result<void>();
}

Task<Result<void>> PgSession::begin() {
  if (in_transaction_) co_return Result<void>();
  auto leased = co_await lease();
  if (!leased.ok()) co_return std::move(leased).error();
  in_transaction_ = true;
  deferred_.push_back(queue(writable() ? sql::kBegin : sql::kBeginRead, Params()));
  co_return Result<void>();
}

Task<Result<void>> PgSession::beforeAsking(Where where) {
  if (!writable() && !in_transaction_) {
    if (read_outside_) {
      Failure again;
      again.sqlstate = kNeedsSnapshot;
      again.message = "a second read needs a snapshot";
      co_return fail(again);
    }
    if (mode_ == Mode::kScan || manner_ == Manner::kSnapshot) {
      auto begun = co_await begin();
      if (!begun.ok()) co_return std::move(begun).error();
    } else {
      read_outside_ = where == Where::kLane;
    }
  }
  if (where == Where::kOwn) {
    auto planned = co_await planForValues();
    if (!planned.ok()) co_return planned;
  }
  co_return Result<void>();
}

Task<Result<void>> PgSession::answered(CommandPtr command) {
  if (in_transaction_) {
    queue(command);
    lease_->sync();
    pool_.flush(*lease_.operator->());
    unflushed_ = 0;
  } else {
    pool_.read(command);
  }
  Answered waiting(*command);
  co_await waiting;
  if (!command->reply.ok()) co_return fail(firstDeferredFailure(*command));
  if (in_transaction_) deferred_.clear();  // answered before this, and well
  co_return Result<void>();
}

Task<Result<Reply>> PgSession::ask(std::string_view sql, Params params, Where where) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto ready = co_await beforeAsking(where);
  if (!ready.ok()) co_return std::move(ready).error();
  auto command = std::make_shared<Command>(pool_.catalog().get(sql), std::move(params), deadline_);
  auto done = co_await answered(command);
  if (!done.ok()) co_return std::move(done).error();
  co_return std::move(command->reply);
}

Task<Result<Reply>> PgSession::change(std::string_view sql, Params params) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto begun = co_await begin();
  if (!begun.ok()) co_return std::move(begun).error();
  changed_ = true;
  auto reply = co_await ask(sql, std::move(params), Where::kLane);
  co_return reply;
}

Task<Result<void>> PgSession::planForValues() {
  auto begun = co_await begin();
  if (!begun.ok()) co_return begun;
  if (!plans_for_values_) {
    plans_for_values_ = true;
    deferred_.push_back(queue(sql::kPlanForValues, Params()));
  }
  co_return Result<void>();
}

Task<Result<void>> PgSession::send(std::string_view sql, Params params) {
  if (!params.representable()) {
    co_return Error(ErrorCode::kInvalid, "A string holds a null character");
  }
  auto begun = co_await begin();
  if (!begun.ok()) co_return std::move(begun).error();
  changed_ = true;
  deferred_.push_back(queue(sql, std::move(params)));
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
  auto boarded = co_await lines_->board(ref, deadline_, statementTimeout(deadline_));
  if (!boarded.ok()) co_return fail(refusalOf(boarded.error()));
  ride_ = std::move(*boarded);
  ride_list_ = ref;
  if (!ride_->lease) co_return Result<void>();
  lease_ = std::move(ride_->lease);
  in_transaction_ = true;
  locked_.push_back(ref);
  savepoint_ = queue(sql::kSavepoint, Params());
  deferred_.push_back(savepoint_);
  ride_->savepoint = true;
  if (ride_->newest) newest_.emplace_back(ref, *ride_->newest);
  newest_from_ride_ = true;
  co_return Result<void>();
}

void PgSession::leaveLine() {
  if (!ride_) return;
  lines_->leave(ride_list_);
  ride_.reset();
}

}  // namespace godwit::store::postgresql
