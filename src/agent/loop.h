// A small epoll loop: descriptors, timers, functions posted from other threads. One thread runs
// it; only post() and stop() may be called from another.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::agent {

class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using IoHandler = std::function<void(std::uint32_t epoll_events)>;
  using TimerId = std::uint64_t;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The descriptor stays the caller's; remove() it before closing. Level triggered.
  Result<void> add(int fd, std::uint32_t events, IoHandler handler);
  void modify(int fd, std::uint32_t events);
  void remove(int fd);

  // Runs once, after `delay`. A handler may cancel itself or others. 0 is never a timer.
  TimerId after(Clock::duration delay, std::function<void()> handler);
  // Runs every `period`; a late run does not make the next one early.
  TimerId every(Clock::duration period, std::function<void()> handler);
  void cancel(TimerId id);

  // Any thread. Runs in the loop, in order. Nothing is lost: what is posted after stop() is
  // destroyed with the loop.
  void post(std::function<void()> fn);
  void stop();

  // Returns after stop().
  void run();

 private:
  struct Watch {
    IoHandler handler;
    bool removed = false;
  };
  struct Timer {
    TimerId id;
    Clock::duration period;
    std::function<void()> handler;
  };

  void runTimers();
  void runPosted();
  int waitMs() const;

  UniqueFd epoll_;
  UniqueFd wake_;
  bool stopped_ = false;
  // Loop thread only. shared_ptr: a handler may remove itself while it runs.
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::multimap<Clock::time_point, std::shared_ptr<Timer>> timers_;
  TimerId next_timer_ = 1;

  std::mutex mu_;
  std::vector<std::function<void()>> posted_;  // guarded by mu_
};

}  // namespace godwit::agent
