// PgSession: how an attempt ends, alone or with others that share its commit.
#include <algorithm>

#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

namespace {

class Settled {
 public:
  explicit Settled(Ride::Rider& rider) : rider_(rider) {}
  bool await_ready() const { return rider_.done; }
  void await_suspend(std::coroutine_handle<> h) { rider_.waiter = h; }
  void await_resume() const {}

 private:
  Ride::Rider& rider_;
};

}  // namespace

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
    queue(sql::kRollback, Params());
    lease_->sync();
    pool_.flush(*lease_.operator->());
  }
  in_transaction_ = false;
  lease_.releaseWhenAnswered();
}

Task<Result<void>> PgSession::commit() {
  if (committed_) co_return Result<void>();
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
  if (ride_->savepoint) queue(sql::kRelease, Params());
  sendAddition();
  ride_->newest.reset();
  if (const auto* known = newest(ride_list_)) ride_->newest = *known;
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
  CommandPtr command = queue(sql::kCommit, Params());
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
  addition_ = Addition();
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
    CommandPtr command = queue(sql::kRollback, Params());
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
    queue(sql::kRollbackTo, Params());
    CommandPtr released = queue(sql::kRelease, Params());
    lease_->sync();
    pool_.flush(*lease_.operator->());
    Reply reply = co_await answerOf(std::move(released));
    // A unit before this one may have handed on statements that failed. Then our savepoint was
    // never set, and we have gone back to an earlier one: nothing of this transaction may be
    // committed.
    bool set = savepoint_ && savepoint_->done && savepoint_->reply.ok();
    if (reply.ok() && !set) {
      CommandPtr undone = queue(sql::kRollback, Params());
      lease_->sync();
      pool_.flush(*lease_.operator->());
      Reply ended = co_await answerOf(std::move(undone));
      static_cast<void>(ended);  // when it failed, the lease closes the connection
    }
    if (reply.ok() && set) {
      ride_->savepoint = false;
      deferred_.clear();
      if (locked_.size() == 1 && lines_->mayHandOn(ride_list_, *ride_)) {
        auto ride = std::move(ride_);
        ride->lease = std::move(lease_);
        in_transaction_ = false;
        lines_->handOn(ride_list_, std::move(ride));
        co_return;
      }
      CommandPtr command = queue(sql::kCommit, Params());
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

}  // namespace godwit::store::postgresql
