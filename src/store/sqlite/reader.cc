#include "store/sqlite/reader.h"

namespace godwit::store::sqlite {

Result<Verdict> Reader::run(const Unit& unit) {
  busy_ = false;
  if (!connection_) {
    auto opened = Connection::open(options_);
    if (!opened.ok()) return opened.error();
    connection_ = std::move(*opened);
    store_.emplace(*connection_, clock_);
  }
  store_->reset();
  connection_->setDeadline(unit.deadline);
  auto begun = connection_->exec(Sql::kBegin);
  Result<Verdict> result = begun.ok() ? unit.run(*store_, false) : begun.error();
  connection_->setDeadline(Deadline::never());
  if (store_->failure()) {
    busy_ = connection_->lastWasBusy();
    result = *store_->failure();
  }
  if (connection_->inTransaction()) {
    auto ended = connection_->exec(Sql::kCommit);
    if (!ended.ok() && connection_->inTransaction()) (void)connection_->exec(Sql::kRollback);
  }
  bool broken = !result.ok() && result.error().code == ErrorCode::kUnavailable && !busy_;
  if (connection_->inTransaction() || broken) {
    store_.reset();
    connection_.reset();
  }
  return result;
}

}  // namespace godwit::store::sqlite
