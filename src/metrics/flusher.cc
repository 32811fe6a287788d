#include "metrics/flusher.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>

namespace godwit::metrics {

std::unique_ptr<Flusher> Flusher::start(std::chrono::milliseconds every, std::function<void()> fn) {
  std::unique_ptr<Flusher> f(new Flusher(every, std::move(fn)));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    f->thread_ = std::thread([raw = f.get()] { raw->run(); });
  } catch (const std::system_error&) {
    f.reset();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return f;
}

Flusher::~Flusher() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Flusher::run() {
  auto next = std::chrono::steady_clock::now() + every_;
  std::unique_lock lock(mu_);
  while (!wake_.wait_until(lock, next, [&] { return stop_; })) {
    lock.unlock();
    fn_();
    lock.lock();
    // From the planned time, so that intervals do not drift; after a stall, from now.
    next = std::max(next + every_, std::chrono::steady_clock::now());
  }
}

}  // namespace godwit::metrics
