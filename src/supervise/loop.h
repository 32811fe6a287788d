#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/deadlines.h"
#include "supervise/units.h"

namespace godwit::supervise {

// One epoll instance and a set of timers. Single thread. Handlers may add and remove anything,
// themselves included; a handler that was removed is not called for events already fetched.
class EventLoop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;
  using TimerId = int;

  Result<> open();

  // `fd` stays the caller's, who removes it before closing it.
  Result<> add(int fd, std::uint32_t events, Handler handler);
  void modify(int fd, std::uint32_t events);
  void remove(int fd);

  // A new timer, not armed.
  TimerId addTimer(std::function<void()> handler);
  void arm(TimerId id, TimeNs at);  // kNever disarms
  void removeTimer(TimerId id);
  [[nodiscard]] bool armed(TimerId id) const { return armed_.count(id) != 0; }

  // Waits for events or the earlier of `deadline` and the next timer, then calls what is due.
  // Returns false on an error of epoll itself.
  bool turn(TimeNs deadline);
  [[nodiscard]] std::uint64_t wakeups() const { return wakeups_; }

 private:
  struct Watch {
    std::uint32_t serial = 0;
    // Shared, because a handler may remove its own watch while it runs.
    std::shared_ptr<Handler> handler;
  };
  int wait(TimeNs until, void* events, int capacity) const;

  UniqueFd epoll_;
  std::map<int, Watch> watches_;
  std::map<TimerId, std::shared_ptr<std::function<void()>>> timers_;
  std::map<TimerId, TimeNs> armed_;
  Deadlines<TimerId> deadlines_;
  std::uint32_t serial_ = 0;
  TimerId next_timer_ = 0;
  std::uint64_t wakeups_ = 0;
};

// Owns a timer of a loop.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> handler)
      : loop_(loop), id_(loop.addTimer(std::move(handler))) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { loop_.removeTimer(id_); }
  void armAt(TimeNs at) { loop_.arm(id_, at); }
  void armIn(TimeNs span) { loop_.arm(id_, timeAfter(monotonicNow(), span)); }
  void disarm() { loop_.arm(id_, kNever); }
  [[nodiscard]] bool armed() const { return loop_.armed(id_); }

 private:
  EventLoop& loop_;
  EventLoop::TimerId id_;
};

}  // namespace godwit::supervise
