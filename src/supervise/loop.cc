#include "supervise/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"

namespace godwit::supervise {
namespace {
constexpr int kBatch = 32;
}

Result<> EventLoop::open() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return osError("create an epoll instance");
  return {};
}

Result<> EventLoop::add(int fd, std::uint32_t events, Handler handler) {
  epoll_event e{};
  e.events = events;
  std::uint32_t serial = ++serial_;
  e.data.u64 = std::uint64_t{serial} << 32 | static_cast<std::uint32_t>(fd);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return osError("watch a descriptor");
  watches_[fd] = {serial, std::make_shared<Handler>(std::move(handler))};
  return {};
}

void EventLoop::modify(int fd, std::uint32_t events) {
  auto it = watches_.find(fd);
  if (it == watches_.end()) return;
  epoll_event e{};
  e.events = events;
  e.data.u64 = std::uint64_t{it->second.serial} << 32 | static_cast<std::uint32_t>(fd);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e);
}

void EventLoop::remove(int fd) {
  if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::addTimer(std::function<void()> handler) {
  TimerId id = ++next_timer_;
  timers_[id] = std::make_shared<std::function<void()>>(std::move(handler));
  return id;
}

void EventLoop::arm(TimerId id, TimeNs at) {
  deadlines_.set(id, at);
  if (at == kNever) {
    armed_.erase(id);
  } else {
    armed_[id] = at;
  }
}

void EventLoop::removeTimer(TimerId id) {
  deadlines_.clear(id);
  armed_.erase(id);
  timers_.erase(id);
}

int EventLoop::wait(TimeNs until, void* events, int capacity) const {
  auto* out = static_cast<epoll_event*>(events);
  if (until == kNever) return ::epoll_wait(epoll_.get(), out, capacity, -1);
  TimeNs span = std::max<TimeNs>(0, until - monotonicNow());
  timespec t{};
  t.tv_sec = static_cast<time_t>(span / kSecond);
  t.tv_nsec = static_cast<long>(span % kSecond);
  int n = ::epoll_pwait2(epoll_.get(), out, capacity, &t, nullptr);
  if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
    auto ms = std::min<TimeNs>((span + kMs - 1) / kMs, 1 << 30);
    n = ::epoll_wait(epoll_.get(), out, capacity, static_cast<int>(ms));
  }
  return n;
}

bool EventLoop::turn(TimeNs deadline) {
  epoll_event events[kBatch];
  int n = wait(std::min(deadline, deadlines_.next()), events, kBatch);
  if (n < 0) return errno == EINTR;
  ++wakeups_;
  for (int i = 0; i < n; ++i) {
    int fd = static_cast<int>(events[i].data.u64 & 0xffffffffU);
    auto it = watches_.find(fd);
    if (it == watches_.end() || it->second.serial != events[i].data.u64 >> 32) continue;
    auto handler = it->second.handler;
    (*handler)(events[i].events);
  }
  // Timers set by these handlers for the past wait for the next turn: a loop that never waits
  // would starve the descriptors.
  TimeNs now = monotonicNow();
  std::size_t budget = deadlines_.size();
  while (budget-- > 0) {
    auto id = deadlines_.popDue(now);
    if (!id) break;
    armed_.erase(*id);
    auto it = timers_.find(*id);
    if (it == timers_.end()) continue;
    auto handler = it->second;
    (*handler)();
  }
  return true;
}

}  // namespace godwit::supervise
