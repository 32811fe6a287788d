#include "store/sqlite/writer.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "store/sqlite/thread.h"

namespace godwit::store::sqlite {
namespace {

// A group that has run this long is committed; what is left goes first in the next.
constexpr auto kGroupTime = std::chrono::milliseconds(20);
// Much shorter than a commit.
constexpr auto kGatherTime = std::chrono::microseconds(100);
// flock cannot be waited for with a limit, so it is asked for again; see persist().
constexpr auto kFirstPause = std::chrono::microseconds(100);
constexpr auto kLongestPause = std::chrono::milliseconds(2);
constexpr auto kComplainEvery = std::chrono::seconds(10);

}  // namespace

Writer::Writer(std::unique_ptr<Connection> connection, WriterLock lock, std::string path,
               const Clock& clock, Limits limits)
    : path_(std::move(path)),
      limits_(limits),
      connection_(std::move(connection)),
      lock_(std::move(lock)),
      store_(*connection_, clock) {
  struct stat opened = {};
  if (::stat(path_.c_str(), &opened) == 0) {
    device_ = opened.st_dev;
    inode_ = opened.st_ino;
  }
  thread_ = startThread("sqlite-writer", [this] { loop(); });
}

Writer::~Writer() { stop(Deadline::after({})); }

void Writer::submit(std::unique_ptr<Unit> unit) {
  Error error;
  {
    std::lock_guard lock(mu_);
    if (stopping_) {
      error = stopping();
    } else if (queue_.size() >= limits_.max_queue) {
      error = {ErrorCode::kUnavailable, "too many writes are waiting"};
    } else {
      queue_.push_back(std::move(unit));
      if (queue_.size() == awaited_) changed_.notify_one();
      return;
    }
  }
  deliver(std::move(unit), std::move(error));
}

void Writer::stop(Deadline deadline) {
  {
    std::lock_guard lock(mu_);
    if (!stopping_ || deadline.when() < stop_deadline_.when()) stop_deadline_ = deadline;
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Writer::loop() {
  for (;;) {
    Units group;
    {
      std::unique_lock lock(mu_);
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) break;
      gather(lock);
      if (stopping_ && stop_deadline_.expired()) {
        group.assign(std::make_move_iterator(queue_.begin()),
                     std::make_move_iterator(queue_.end()));
        queue_.clear();
        lock.unlock();
        failAll(std::move(group), stopping());
        continue;
      }
      while (!queue_.empty() && group.size() < limits_.max_group) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    runGroup(std::move(group));
  }
  // Leaves one file behind for whoever copies it. Not while somebody else writes or reads: then it
  // is their log.
  if (lock_.tryAcquire()) connection_->checkpoint(Connection::Checkpoint::kTruncate);
  lock_.release();
}

void Writer::gather(std::unique_lock<std::mutex>& lock) {
  // Callers that wait for their answers come back all at once, the first a little before the
  // others; without this it would be committed alone while they wait for the next group.
  awaited_ = last_group_;
  if (queue_.size() < awaited_ && !stopping_) {
    changed_.wait_for(lock, kGatherTime, [&] { return stopping_ || queue_.size() >= awaited_; });
  }
  awaited_ = 1;
  last_group_ = std::min(queue_.size(), limits_.max_group);
}

bool Writer::expire(Units& group) {
  auto late = std::stable_partition(group.begin(), group.end(),
                                    [](const auto& u) { return !u->deadline.expired(); });
  for (auto it = late; it != group.end(); ++it) finished_.push_back({std::move(*it), tooLate()});
  group.erase(late, group.end());
  deliver(std::exchange(finished_, {}));
  return !group.empty();
}

void Writer::expireQueue() {
  std::vector<Completion> late;
  {
    std::lock_guard lock(mu_);
    for (auto& unit : queue_) {
      if (unit->deadline.expired()) late.push_back({std::move(unit), tooLate()});
    }
    std::erase(queue_, nullptr);
  }
  deliver(std::move(late));
}

template <class Attempt>
bool Writer::persist(Units& group, Attempt attempt) {
  auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(kFirstPause);
  while (!attempt()) {
    if (!expire(group)) return false;
    expireQueue();
    std::unique_lock lock(mu_);
    if (stopping_ && stop_deadline_.expired()) {
      lock.unlock();
      failAll(std::move(group), stopping());
      return false;
    }
    changed_.wait_for(lock, pause, [&] { return stopping_ && stop_deadline_.expired(); });
    pause = std::min<std::chrono::nanoseconds>(pause * 3 / 2, kLongestPause);
  }
  return true;
}

void Writer::runGroup(Units group) {
  if (!expire(group)) return;
  bool ready = persist(group, [&] { return lock_.tryAcquire(); });
  if (ready) {
    transact(std::move(group));
    maybeCheckpoint();
  }
  lock_.release();
}

void Writer::transact(Units group) {
  if (!sameFile()) {
    return failAll(std::move(group), {ErrorCode::kUnavailable, "the storage is unavailable",
                                      path_ + " was removed or replaced"});
  }
  // A program without our lock may hold SQLite's.
  std::optional<Error> broken;
  bool begun = persist(group, [&] {
    auto r = connection_->exec(Sql::kBeginImmediate);
    if (!r.ok() && !connection_->lastWasBusy()) broken = r.error();
    return r.ok() || broken;
  });
  if (!begun) return;
  if (broken) return failAll(std::move(group), *broken);

  std::vector<Completion> finished;
  Units again;  // must run once more, because the transaction they were in is gone
  auto until = Deadline::after(kGroupTime);
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (i != 0 && until.expired()) {
      giveBack(Units(std::make_move_iterator(group.begin() + static_cast<std::ptrdiff_t>(i)),
                     std::make_move_iterator(group.end())));
      break;
    }
    Unit& unit = *group[i];
    store_.reset();
    connection_->setDeadline(unit.deadline);
    Result<Verdict> result = unit.run(store_, true);
    connection_->setDeadline(Deadline::never());
    if (store_.failure()) result = *store_.failure();
    if (connection_->inTransaction()) {
      bool keep = result.ok() && *result == Verdict::kCommit;
      Result<void> ended = keep ? store_.keep() : store_.undo();
      if (ended.ok()) {
        finished.push_back({std::move(group[i]), std::move(result)});
        continue;
      }
      result = ended.error();
    }
    // SQLite rolled everything back: this unit was interrupted in the middle of a change, or the
    // file cannot be written. In the first case the others did nothing wrong.
    Error why = result.ok() ? Error(ErrorCode::kInternal, "internal error") : result.error();
    if (connection_->inTransaction()) (void)connection_->exec(Sql::kRollback);
    bool theirs = why.code == ErrorCode::kTimeout;
    finished.push_back({std::move(group[i]), why});
    for (auto& c : finished) {
      if (c.unit && theirs && c.result.ok()) again.push_back(std::move(c.unit));
      if (c.unit && c.result.ok()) c.result = why;
    }
    std::erase_if(finished, [](const Completion& c) { return !c.unit; });
    for (++i; i < group.size(); ++i) {
      if (theirs) {
        again.push_back(std::move(group[i]));
      } else {
        finished.push_back({std::move(group[i]), why});
      }
    }
    if (!theirs) complain(why);
    deliver(std::move(finished));
    if (!again.empty()) giveBack(std::move(again));
    return;
  }

  auto committed = connection_->exec(Sql::kCommit);
  if (!committed.ok()) {
    complain(committed.error());
    if (connection_->inTransaction()) (void)connection_->exec(Sql::kRollback);
    for (Completion& c : finished) {
      if (c.result.ok() && *c.result == Verdict::kCommit) c.result = committed.error();
    }
  }
  deliver(std::move(finished));
}

void Writer::giveBack(Units rest) {
  std::lock_guard lock(mu_);
  queue_.insert(queue_.begin(), std::make_move_iterator(rest.begin()),
                std::make_move_iterator(rest.end()));
}

void Writer::failAll(Units group, const Error& error) {
  if (!error.detail.empty()) complain(error);
  std::vector<Completion> failed;
  failed.reserve(group.size());
  for (auto& unit : group) failed.push_back({std::move(unit), error});
  deliver(std::move(failed));
}

void Writer::maybeCheckpoint() {
  std::size_t pages = connection_->walPages();
  // A reader that holds an old snapshot keeps the log from being reused: it grows on, and is tried
  // again each time it grew by the limit. Once it is long, wait for the readers (20 ms).
  if (pages < checkpointed_pages_) checkpointed_pages_ = 0;
  if (pages < checkpointed_pages_ + limits_.wal_pages) return;
  bool long_log = pages > 4 * limits_.wal_pages;
  bool all = connection_->checkpoint(long_log ? Connection::Checkpoint::kTruncate
                                              : Connection::Checkpoint::kPassive);
  checkpointed_pages_ = all ? 0 : pages;
}

bool Writer::sameFile() const {
  struct stat now = {};
  return ::stat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
}

void Writer::complain(const Error& error) {
  if (!next_complaint_.expired()) return;
  next_complaint_ = Deadline::after(kComplainEvery);
  log::error("storage cannot write", {{"reason", error.message}, {"detail", error.detail}});
}

}  // namespace godwit::store::sqlite
