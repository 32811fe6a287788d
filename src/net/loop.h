#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/reactor.h"
#include "net/poller.h"
#include "net/wheel.h"

namespace godwit::net {

// One event-loop thread. Asio drives it (posts, timers, signals, wake-ups) and stays inside
// loop.cc; connections are watched through poller(), which the loop reads in batches
// (docs/decisions/0020-batched-readiness.md). Unless said otherwise: loop thread only.
class Loop final : public Reactor {
 public:
  explicit Loop(std::size_t index);
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The calling thread becomes the loop thread until stop().
  void run();
  // Runs what is ready, waiting at most `wait` for the first event. The caller is the loop thread.
  void poll(std::chrono::milliseconds wait);
  // Any thread.
  void stop();
  [[nodiscard]] bool stopped() const;
  // Runs posted jobs that run() left behind, on this thread. REQUIRES not running.
  void runLeftovers();

  // Reactor.
  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] bool onThread() const override;
  void post(Job job) override;
  std::unique_ptr<FdWatch> watch(int fd, std::function<void(unsigned)> ready) override;
  std::unique_ptr<Handle> timer(Deadline when, Job job) override;

  [[nodiscard]] Poller& poller() { return poller_; }
  // Milliseconds on the monotonic clock, read once per batch. Never 0.
  [[nodiscard]] std::int64_t nowMs() const { return now_ms_; }
  std::int64_t refreshNow();
  void setDeadline(Wheel::Node& node, std::int64_t due_ms) {
    if (wheel_.set(node, due_ms)) armTimer();
  }
  void clearDeadline(Wheel::Node& node) { wheel_.remove(node); }
  // Called after every batch of events, deadlines or posted jobs: where owners bury their dead.
  void onTurnEnd(std::function<void()> hook) { turn_end_ = std::move(hook); }
  // Delivers these signals to `handler` on the loop thread until cleared with an empty list.
  void onSignals(const std::vector<int>& signals, std::function<void(int)> handler);

 private:
  struct Asio;
  class Timer;
  friend class Timer;

  void enter();
  void armPoller();
  void armTimer();
  void onTimer();
  void runPosted();
  void waitSignal();
  void turnEnd() {
    if (turn_end_) turn_end_();
  }

  const std::size_t index_;
  std::atomic<std::thread::id> thread_{};

  // Loop thread only.
  std::unique_ptr<Asio> asio_;
  Poller poller_;
  Wheel wheel_;
  std::multimap<std::int64_t, Timer*> timers_;
  std::int64_t now_ms_ = 1;
  std::int64_t armed_ms_ = Wheel::kNever;
  std::function<void()> turn_end_;
  std::function<void(int)> on_signal_;
  std::vector<Job> running_;

  // Guarded by mu_.
  std::mutex mu_;
  std::vector<Job> posted_;
};

}  // namespace godwit::net
