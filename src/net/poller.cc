#include "net/poller.h"

namespace godwit::net {

bool Poller::add(int fd, std::uint32_t events, Watcher& w) {
  epoll_event ev{};
  ev.events = events;
  ev.data.ptr = &w;
  return ::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &ev) == 0;
}

bool Poller::modify(int fd, std::uint32_t events, Watcher& w) {
  epoll_event ev{};
  ev.events = events;
  ev.data.ptr = &w;
  return ::epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd, &ev) == 0;
}

void Poller::remove(int fd, Watcher& w) {
  if (fd >= 0) {
    epoll_event ev{};
    ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, &ev);
  }
  for (int i = at_; i < count_; ++i) {
    epoll_event& ev = batch_[static_cast<std::size_t>(i)];
    if (ev.data.ptr == &w) ev.data.ptr = nullptr;
  }
}

bool Poller::dispatch() {
  count_ = ::epoll_wait(fd_.get(), batch_.data(), kBatch, 0);
  for (at_ = 0; at_ < count_;) {
    const epoll_event ev = batch_[static_cast<std::size_t>(at_++)];
    // By the time the next one has its turn, the kernel has had the cache to itself.
    if (at_ < count_) __builtin_prefetch(batch_[static_cast<std::size_t>(at_)].data.ptr);
    if (ev.data.ptr) static_cast<Watcher*>(ev.data.ptr)->onReady(ev.events);
  }
  const bool full = count_ == kBatch;
  at_ = count_ = 0;
  return full;
}

}  // namespace godwit::net
