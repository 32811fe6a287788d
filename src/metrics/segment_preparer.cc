#include "metrics/segment_preparer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace godwit::metrics::spool {

std::unique_ptr<SegmentPreparer> SegmentPreparer::start(SpoolDir& spool, const Limits& limits) {
  std::unique_ptr<SegmentPreparer> p(new SegmentPreparer(spool, limits));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    p->thread_ = std::thread([raw = p.get()] { raw->run(); });
  } catch (const std::system_error&) {
    p.reset();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return p;
}

SegmentPreparer::~SegmentPreparer() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (ready_) {
    spool_.release(ready_->size());
    if (dir_) ::unlinkat(dir_.get(), kName, 0);
  }
}

void SegmentPreparer::request(int dir_fd, std::size_t size) {
  {
    const std::lock_guard lock(mu_);
    if (busy_ || ready_ || wanted_ != 0) return;
    if (!dir_) dir_ = UniqueFd(::fcntl(dir_fd, F_DUPFD_CLOEXEC, 0));
    if (!dir_) return;
    wanted_ = size;
  }
  wake_.notify_one();
}

std::optional<SegmentMap> SegmentPreparer::take() {
  const std::lock_guard lock(mu_);
  return std::exchange(ready_, std::nullopt);
}

void SegmentPreparer::discard(SegmentMap old) {
  {
    const std::lock_guard lock(mu_);
    old_.push_back(std::move(old));
  }
  wake_.notify_one();
}

void SegmentPreparer::run() {
  std::unique_lock lock(mu_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || wanted_ != 0 || !old_.empty(); });
    if (stop_) return;
    const std::size_t size = std::exchange(wanted_, 0);
    std::vector<SegmentMap> old = std::exchange(old_, {});
    busy_ = size != 0;
    const int dir = dir_.get();
    lock.unlock();
    old.clear();
    std::optional<SegmentMap> made;
    if (size != 0 && spool_.reserve(size, limits_, false).ok()) {
      auto segment = SegmentMap::create(dir, kName, size);
      if (segment.ok()) {
        segment->populate();
        made = std::move(*segment);
      } else {
        spool_.release(size);
      }
    }
    lock.lock();
    busy_ = false;
    if (made) ready_ = std::move(made);
  }
}

}  // namespace godwit::metrics::spool
