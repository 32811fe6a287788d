// Long-lived handles: counters, timers and gauges that are aggregated in the process and sent once
// per flush interval. Made by Client, which owns them; a reference is good as long as its client.
// Any thread; nothing here throws, blocks or makes a system call. In the child of a fork they begin
// at zero. NaN and infinities are refused and counted.
#pragma once

#include <chrono>
#include <memory>

#include "godwit/metrics/metrics.h"

namespace godwit::metrics {

namespace detail {
struct CounterState;
struct TimerState;
struct GaugeState;
struct Core;
}  // namespace detail

class Counter {
 public:
  void inc(double by = 1) noexcept;
  explicit Counter(std::unique_ptr<detail::CounterState> state);
  ~Counter();
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

 private:
  friend struct detail::Core;
  std::unique_ptr<detail::CounterState> state_;
};

// Sent as a sketch (count, sum, min, max and quantiles within 1 %), not as single values.
class Timer {
 public:
  class Scope {
   public:
    explicit Scope(Timer& timer) : timer_(&timer), start_(std::chrono::steady_clock::now()) {}
    ~Scope() {
      if (timer_) timer_->record(std::chrono::steady_clock::now() - start_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    void cancel() noexcept { timer_ = nullptr; }

   private:
    Timer* timer_;
    std::chrono::steady_clock::time_point start_;
  };

  void record(std::chrono::nanoseconds value) noexcept;
  [[nodiscard]] Scope time() { return Scope(*this); }
  explicit Timer(std::unique_ptr<detail::TimerState> state);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  friend struct detail::Core;
  std::unique_ptr<detail::TimerState> state_;
};

// The last value counts. Sent only in intervals in which it was set.
class Gauge {
 public:
  void set(double value) noexcept;
  void add(double by) noexcept;
  explicit Gauge(std::unique_ptr<detail::GaugeState> state);
  ~Gauge();
  Gauge(const Gauge&) = delete;
  Gauge& operator=(const Gauge&) = delete;

 private:
  friend struct detail::Core;
  std::unique_ptr<detail::GaugeState> state_;
};

}  // namespace godwit::metrics
