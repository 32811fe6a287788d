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
  // Both must outlive this. `monotonic` yields nanoseconds from any start.
  StampClock(const Clock& wall, const Clock& monotonic);
  static StampClock& system();  // CLOCK_REALTIME and CLOCK_MONOTONIC
  static const Clock& systemMonotonic();

  // Unix time, never less than any earlier result.
  std::int64_t nowNs();
  // A microsecond that no other call on this object gets: max(last + 1, now).
  std::int64_t uniqueUs();

  // How far uniqueUs() has run ahead of nowNs() at most, and how far nowNs() is ahead of the wall.
  [[nodiscard]] std::uint64_t aheadUs() const { return ahead_us_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t holdNs() const { return hold_ns_.load(std::memory_order_relaxed); }

 private:
  std::int64_t resample(std::int64_t mono);

  // Set once
  const Clock& wall_;
  const Clock& monotonic_;
  // Any thread. The anchor is replaced under `lock_`; readers retry while `version_` is odd.
  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::int64_t> anchor_mono_{0};
  std::atomic<std::int64_t> anchor_time_{0};
  std::atomic<bool> slow_{false};
  std::atomic<std::int64_t> next_sample_{0};
  std::atomic<std::int64_t> last_ns_{0};
  std::atomic<std::int64_t> last_us_{0};
  std::atomic<std::uint64_t> ahead_us_{0};
  std::atomic<std::int64_t> hold_ns_{0};
};

}  // namespace godwit::metrics
