#include "base/worker_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace godwit {

WorkerPool::WorkerPool(std::string name, std::size_t threads, std::size_t bound, int nice)
    : name_(std::move(name)), bound_(bound), nice_(nice) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { work(); });
    pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
  }
}

WorkerPool::~WorkerPool() { stop(Deadline::after({})); }

bool WorkerPool::submit(Job job) {
  {
    std::lock_guard lock(mu_);
    if (closed_ || queue_.size() >= bound_) {
      ++refused_;
      return false;
    }
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

std::size_t WorkerPool::stop(Deadline deadline) {
  std::size_t dropped = 0;
  {
    std::unique_lock lock(mu_);
    closed_ = true;
    auto finished = [this] { return queue_.empty() && running_ == 0; };
    if (deadline.isNever()) {
      idle_.wait(lock, finished);
    } else {
      idle_.wait_until(lock, deadline.when(), finished);
    }
    dropped = queue_.size();
    queue_.clear();
    quit_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
  return dropped;
}

std::size_t WorkerPool::queued() const {
  std::lock_guard lock(mu_);
  return queue_.size();
}

std::uint64_t WorkerPool::refused() const {
  std::lock_guard lock(mu_);
  return refused_;
}

void WorkerPool::work() {
  // Linux gives each thread a niceness of its own.
  if (nice_ > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice_);
  std::unique_lock lock(mu_);
  for (;;) {
    wake_.wait(lock, [this] { return quit_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    job();
    lock.lock();
    --running_;
    if (queue_.empty() && running_ == 0) idle_.notify_all();
  }
}

}  // namespace godwit
