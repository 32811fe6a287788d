#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

// A clock for those who ask often: between two looks at an exact one, at most a millisecond apart
// in each thread, the processor's counter carries on, which takes a third of the time. The answer
// is some ten nanoseconds late; a counter that steps, or changes its speed by less than half, puts
// it off by less than a millisecond until the next look.
// docs/decisions/0083-ticks-between-looks-at-the-clock.md. Any thread.
namespace godwit::metrics {

class TickClock final : public Clock {
 public:
  using Ticks = std::uint64_t (*)();
  // Of a counter that runs at one speed on all processors; nullptr where there is none.
  static Ticks processorTicks();

  // `exact` must outlive this. nullptr: every call looks at `exact`.
  TickClock(const Clock& exact, Ticks ticks) : exact_(exact), ticks_(ticks) {}
  [[nodiscard]] std::int64_t nowNs() const override;

 private:
  struct Look;
  std::int64_t look(Look& last, std::uint64_t before) const;
  void measure(std::uint64_t ticks, std::int64_t ns) const;

  const Clock& exact_;
  const Ticks ticks_;
  // Nanoseconds per tick, 32 bits of fraction, a little less than measured so that time does not
  // run ahead. 0: not known, or it has changed lately.
  mutable std::atomic<std::uint64_t> rate_{0};
  // Held while measuring, never waited for: whoever finds it taken goes on without.
  mutable std::atomic_flag measuring_;
  // Guarded by measuring_
  mutable std::uint64_t base_ticks_ = 0;
  mutable std::int64_t base_ns_ = 0;
  mutable double last_rate_ = 0;
};

}  // namespace godwit::metrics
