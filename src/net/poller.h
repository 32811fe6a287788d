#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::net {

// The descriptors of one loop: an epoll set, read in batches. Level-triggered but for who asks for
// EPOLLET. Loop thread only.
class Poller {
 public:
  class Watcher {
   public:
    // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, EPOLLRDHUP, EPOLLPRI.
    virtual void onReady(std::uint32_t events) = 0;

   protected:
    ~Watcher() = default;
  };

  Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}
  [[nodiscard]] int fd() const { return fd_.get(); }

  // False with errno set.
  bool add(int fd, std::uint32_t events, Watcher& w);
  bool modify(int fd, std::uint32_t events, Watcher& w);
  // No event that is still waiting in this batch reaches `w` afterwards. `fd` may be closed
  // already.
  void remove(int fd, Watcher& w);

  // Delivers what is ready now; true when there may be more.
  bool dispatch();

 private:
  static constexpr int kBatch = 128;
  UniqueFd fd_;
  std::array<epoll_event, kBatch> batch_{};
  int at_ = 0;
  int count_ = 0;
};

}  // namespace godwit::net
