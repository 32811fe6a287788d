#include "agent/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/os_error.h"

namespace godwit::agent {

Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = wake_.get();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &e);
}

Loop::~Loop() = default;

Result<void> Loop::add(int fd, std::uint32_t events, IoHandler handler) {
  epoll_event e{};
  e.events = events;
  e.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return osError("watch a descriptor");
  auto watch = std::make_shared<Watch>();
  watch->handler = std::move(handler);
  watches_[fd] = std::move(watch);
  return {};
}

void Loop::modify(int fd, std::uint32_t events) {
  epoll_event e{};
  e.events = events;
  e.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e);
}

void Loop::remove(int fd) {
  auto it = watches_.find(fd);
  if (it == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  it->second->removed = true;
  watches_.erase(it);
}

Loop::TimerId Loop::after(Clock::duration delay, std::function<void()> handler) {
  auto timer =
      std::make_shared<Timer>(Timer{next_timer_++, Clock::duration::zero(), std::move(handler)});
  TimerId id = timer->id;
  timers_.emplace(Clock::now() + delay, std::move(timer));
  return id;
}

Loop::TimerId Loop::every(Clock::duration period, std::function<void()> handler) {
  auto timer = std::make_shared<Timer>(Timer{next_timer_++, period, std::move(handler)});
  TimerId id = timer->id;
  timers_.emplace(Clock::now() + period, std::move(timer));
  return id;
}

// Linear: the agent has a dozen timers plus one per open connection, and cancels rarely.
void Loop::cancel(TimerId id) {
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->second->id == id) {
      it->second->id = 0;
      timers_.erase(it);
      return;
    }
  }
}

void Loop::post(std::function<void()> fn) {
  {
    std::lock_guard lock(mu_);
    posted_.push_back(std::move(fn));
  }
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void Loop::stop() {
  post([this] { stopped_ = true; });
}

int Loop::waitMs() const {
  if (timers_.empty()) return -1;
  auto left = timers_.begin()->first - Clock::now();
  if (left <= Clock::duration::zero()) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

void Loop::runTimers() {
  auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    auto timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    auto periodic = timer->period > Clock::duration::zero();
    if (periodic) timers_.emplace(now + timer->period, timer);
    timer->handler();
  }
}

void Loop::runPosted() {
  std::vector<std::function<void()>> batch;
  {
    std::lock_guard lock(mu_);
    batch.swap(posted_);
  }
  for (auto& fn : batch) fn();
}

void Loop::run() {
  std::array<epoll_event, 64> events;
  while (!stopped_) {
    int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), waitMs());
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = events[static_cast<std::size_t>(i)];
      if (e.data.fd == wake_.get()) {
        std::uint64_t count = 0;
        [[maybe_unused]] ssize_t r = ::read(wake_.get(), &count, sizeof count);
        runPosted();
        continue;
      }
      // A handler earlier in this round may have closed this descriptor and opened another with
      // the same number; level triggering makes a spurious call harmless, handlers read to EAGAIN.
      auto it = watches_.find(e.data.fd);
      if (it == watches_.end()) continue;
      auto watch = it->second;
      if (!watch->removed) watch->handler(e.events);
    }
    runTimers();
  }
}

}  // namespace godwit::agent
