#include "store/sqlite/reader.h"

namespace godwit::store::sqlite {

Result<void> Reader::open() {
  if (connection_) return {};
  auto opened = Connection::open(options_);
  if (!opened.ok()) return std::move(opened).error();
  connection_ = std::move(*opened);
  store_.emplace(*connection_, clock_);
  return {};
}

Result<void> Reader::begin() {
  wal_.remember();
  auto begun = connection_->exec(Sql::kBegin);
  if (!begun.ok()) return std::move(begun).error();
  return {};
}

void Reader::end() {
  if (!connection_ || !connection_->inTransaction()) return;
  auto ended = connection_->exec(Sql::kCommit);
  if (!ended.ok() && connection_->inTransaction()) (void)connection_->exec(Sql::kRollback);
}

// Runs the unit in the open snapshot. A failure of the file ends the snapshot, and the connection
// too when it may be broken.
Result<Verdict> Reader::work(const Unit& unit) {
  store_->reset();
  Result<Verdict> result = unit.run(*store_, false);
  connection_->setDeadline(Deadline::never());
  bool failed = store_->failure().has_value();
  if (failed) {
    busy_ = connection_->lastWasBusy();
    result = *store_->failure();
    end();
  }
  bool broken = !result.ok() && result.error().code == ErrorCode::kUnavailable && !busy_;
  if (broken || (failed && connection_->inTransaction())) {
    wal_.detach();
    store_.reset();
    connection_.reset();
  }
  return result;
}

Result<Verdict> Reader::run(const Unit& unit) {
  busy_ = false;
  GODWIT_TRY(open());
  connection_->setDeadline(unit.deadline);
  GODWIT_TRY(begin());
  Result<Verdict> result = work(unit);
  end();
  return result;
}

Result<Verdict> Reader::runInTurn(const Unit& unit) {
  busy_ = false;
  GODWIT_TRY(open());
  connection_->setDeadline(unit.deadline);
  if (connection_->inTransaction() && !wal_.current()) end();
  if (!connection_->inTransaction()) GODWIT_TRY(begin());
  Result<Verdict> result = work(unit);
  if (!wal_.attached()) {
    // The first unit of a connection: now that it has read there is a log to look at.
    end();
    if (connection_) wal_.attach(connection_->raw());
    return result;
  }
  if (connection_ && connection_->inTransaction() && !ending_) {
    ending_ = true;
    unit.home->post([self = self_] {
      if (!*self) return;
      (*self)->ending_ = false;
      (*self)->end();
    });
  }
  return result;
}

}  // namespace godwit::store::sqlite
