#include "base/epoll_reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <stdexcept>

#include "base/os_error.h"

namespace godwit {

class EpollReactor::Watch final : public FdWatch {
 public:
  Watch(EpollReactor& loop, int fd, std::function<void(unsigned)> ready)
      : loop_(loop), fd_(fd), id_(loop.next_id_++), ready_(std::move(ready)) {
    loop_.watches_.emplace(id_, this);
    epoll_event ev{};
    ev.data.u64 = id_;
    ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, fd_, &ev);
  }
  ~Watch() override {
    loop_.watches_.erase(id_);
    ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  }
  void want(unsigned events) override {
    if (events == want_) return;
    want_ = events;
    epoll_event ev{};
    if (events & kReadable) ev.events |= EPOLLIN | EPOLLRDHUP;
    if (events & kWritable) ev.events |= EPOLLOUT;
    ev.data.u64 = id_;
    ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &ev);
  }
  void report(std::uint32_t events) {
    unsigned got = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) got |= kReadable;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) got |= kWritable;
    got &= want_;
    // A copy: the callback may destroy this watch.
    if (got) {
      auto ready = ready_;
      ready(got);
    }
  }

 private:
  EpollReactor& loop_;
  int fd_;
  std::uint64_t id_;
  unsigned want_ = 0;
  std::function<void(unsigned)> ready_;
};

class EpollReactor::Timer final : public Handle {
 public:
  Timer(EpollReactor& loop, TimerKey key) : loop_(loop), key_(key) {}
  ~Timer() override { loop_.timers_.erase(key_); }

 private:
  EpollReactor& loop_;
  TimerKey key_;
};

EpollReactor::EpollReactor(std::size_t index)
    : index_(index),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_(std::this_thread::get_id()) {
  if (!epoll_ || !wake_) throw std::runtime_error("cannot create event loop: " + errnoText(errno));
  epoll_event ev{};
  ev.events = EPOLLIN;
  ev.data.u64 = 0;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &ev);
}

EpollReactor::~EpollReactor() = default;

bool EpollReactor::onThread() const { return thread_.load() == std::this_thread::get_id(); }

void EpollReactor::post(Job job) {
  bool first = false;
  {
    std::lock_guard lock(mu_);
    first = posted_.empty();
    posted_.push_back(std::move(job));
  }
  // On the loop thread the next turn looks at the list anyway.
  if (first && !onThread()) {
    std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
  }
}

std::unique_ptr<Reactor::FdWatch> EpollReactor::watch(int fd, std::function<void(unsigned)> ready) {
  return std::make_unique<Watch>(*this, fd, std::move(ready));
}

std::unique_ptr<Reactor::Handle> EpollReactor::timer(Deadline when, Job job) {
  TimerKey key(when.when(), next_id_++);
  timers_.emplace(key, std::move(job));
  return std::make_unique<Timer>(*this, key);
}

bool EpollReactor::runPosted() {
  {
    std::lock_guard lock(mu_);
    running_.swap(posted_);
  }
  bool any = !running_.empty();
  for (auto& job : running_) job();
  running_.clear();
  return any;
}

void EpollReactor::runTimers() {
  auto now = Deadline::Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    Job job = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    job();
  }
}

void EpollReactor::turn(Deadline until) {
  int timeout = until.pollTimeoutMs();
  if (!timers_.empty()) {
    int next = Deadline::at(timers_.begin()->first.first).pollTimeoutMs();
    if (timeout < 0 || next < timeout) timeout = next;
  }
  {
    std::lock_guard lock(mu_);
    if (!posted_.empty()) timeout = 0;
  }
  std::array<epoll_event, 64> events;
  int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  for (int i = 0; i < n; ++i) {
    auto& ev = events[static_cast<std::size_t>(i)];
    if (ev.data.u64 == 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] auto got = ::read(wake_.get(), &count, sizeof count);
      continue;
    }
    // Looked up by number: an earlier callback of this turn may have ended the watch.
    if (auto it = watches_.find(ev.data.u64); it != watches_.end()) it->second->report(ev.events);
  }
  runTimers();
  runPosted();
}

void EpollReactor::run() {
  thread_.store(std::this_thread::get_id());
  while (!stop_.load()) turn(Deadline::never());
  while (runPosted()) {
  }
  stop_.store(false);
}

void EpollReactor::stop() {
  stop_.store(true);
  post([] {});
  std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
}

bool EpollReactor::runUntil(const std::function<bool()>& ready, Deadline deadline) {
  thread_.store(std::this_thread::get_id());
  while (!ready()) {
    if (deadline.expired()) return false;
    turn(deadline);
  }
  return true;
}

}  // namespace godwit
