#include "store/sqlite/scan_pool.h"

#include "store/sqlite/thread.h"

namespace godwit::store::sqlite {
namespace {

constexpr int kBusyTries = 50;  // each waits up to 20 ms for the lock

}  // namespace

ScanPool::ScanPool(const ConnectionOptions& options, const Clock& clock, std::size_t threads,
                   std::size_t max_queue)
    : max_queue_(max_queue) {
  for (std::size_t i = 0; i < threads; ++i) {
    readers_.push_back(std::make_unique<Reader>(options, clock));
  }
  for (auto& reader : readers_) {
    threads_.push_back(startThread("sqlite-scan", [this, &r = *reader] { loop(r); }));
  }
}

ScanPool::~ScanPool() { stop(Deadline::after({})); }

void ScanPool::submit(std::unique_ptr<Unit> unit) {
  Error error;
  {
    std::lock_guard lock(mu_);
    if (stopping_) {
      error = stopping();
    } else if (queue_.size() >= max_queue_) {
      error = {ErrorCode::kUnavailable, "too many reads are waiting"};
    } else {
      queue_.push_back(std::move(unit));
      changed_.notify_one();
      return;
    }
  }
  deliver(std::move(unit), std::move(error));
}

void ScanPool::stop(Deadline deadline) {
  {
    std::lock_guard lock(mu_);
    if (!stopping_ || deadline.when() < stop_deadline_.when()) stop_deadline_ = deadline;
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
}

void ScanPool::loop(Reader& reader) {
  for (;;) {
    std::unique_ptr<Unit> unit;
    {
      std::unique_lock lock(mu_);
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      unit = std::move(queue_.front());
      queue_.pop_front();
      if (stopping_ && stop_deadline_.expired()) {
        lock.unlock();
        deliver(std::move(unit), stopping());
        continue;
      }
    }
    Result<Verdict> result = tooLate();
    for (int i = 0; i < kBusyTries && !unit->deadline.expired(); ++i) {
      result = reader.run(*unit);
      if (!reader.wasBusy()) break;
    }
    deliver(std::move(unit), std::move(result));
  }
}

}  // namespace godwit::store::sqlite
