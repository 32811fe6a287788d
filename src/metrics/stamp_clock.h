#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

// Time stamps that never repeat and never go back, whatever the wall clock does. The wall clock is
// sampled now and then; between samples the monotonic clock carries on. A step forward is followed
// at once. After a step back time goes on from where it was at half speed until the wall clock has
// caught up. docs/metrics.md, "Time". Any thread.
namespace godwit::metrics {

class StampClock {
 public:
  // All must outlive this. `monotonic` yields nanoseconds from any start, `coarse` the same with
  // less effort and a few milliseconds late.
  StampClock(const Clock& wall, const Clock& monotonic) : StampClock(wall, monotonic, monotonic) {}
  StampClock(const Clock& wall, const Clock& monotonic, const Clock& coarse);
  static StampClock& system();  // CLOCK_REALTIME and CLOCK_MONOTONIC
  static const Clock& systemMonotonic();

  // Unix time. Does not go back for one thread; two threads may see it cross by a few nanoseconds.
  std::int64_t nowNs();
  // The same, up to a clock tick (4 ms) late, in a tenth of the time.
  std::int64_t nowCoarseNs();
  // A microsecond that no other call on this object gets: max(last + 1, now).
  std::int64_t uniqueUs();

  // A child of fork must not inherit another thread's half-done sample.
  void afterForkInChild() { version_.store(0, std::memory_order_release); }

  // How far uniqueUs() runs ahead of nowNs(), and nowNs() ahead of the wall clock, lately.
  [[nodiscard]] std::uint64_t aheadUs() const { return ahead_us_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t holdNs() const { return hold_ns_.load(std::memory_order_relaxed); }

 private:
  struct Line {
    std::int64_t mono, time;
    bool slow;
    [[nodiscard]] std::int64_t at(std::int64_t m) const {
      return time + (slow ? (m - mono) / 2 : m - mono);
    }
  };
  Line line() const;
  std::int64_t resample(std::int64_t mono);

  // Set once
  const Clock& wall_;
  const Clock& monotonic_;
  const Clock& coarse_;
  // Any thread. `version_` is odd while a thread replaces the line through (mono, time).
  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::int64_t> anchor_mono_{0};
  std::atomic<std::int64_t> anchor_time_{0};
  std::atomic<bool> slow_{false};
  std::atomic<std::int64_t> next_sample_{0};
  std::atomic<std::int64_t> last_us_{0};
  std::atomic<std::uint64_t> ahead_us_{0};
  std::atomic<std::int64_t> hold_ns_{0};
};

}  // namespace godwit::metrics
