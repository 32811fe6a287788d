#include "metrics/stamp_clock.h"

#include <ctime>

#include "metrics/tick_clock.h"

namespace godwit::metrics {
namespace {

constexpr std::int64_t kSampleEveryNs = 100'000'000;
// The two clocks are read one after the other; less than this is not a step.
constexpr std::int64_t kJitterNs = 1'000'000;

template <clockid_t kId>
class KernelClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t nowNs() const override {
    timespec t{};
    clock_gettime(kId, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }
};

}  // namespace

StampClock::StampClock(const Clock& wall, const Clock& monotonic, const Clock& coarse)
    : wall_(wall), monotonic_(monotonic), coarse_(coarse) {
  const std::int64_t mono = monotonic_.nowNs();
  anchor_mono_ = mono;
  anchor_time_ = wall_.nowNs();
  next_sample_ = mono + kSampleEveryNs;
}

const Clock& StampClock::systemMonotonic() {
  static const KernelClock<CLOCK_MONOTONIC> exact;
  static const TickClock clock(exact, TickClock::processorTicks());
  return clock;
}

StampClock& StampClock::system() {
  // Never destroyed: exit handlers of other libraries may still record.
  static const KernelClock<CLOCK_MONOTONIC_COARSE> coarse;
  static auto* clock = new StampClock(Clock::system(), systemMonotonic(), coarse);
  return *clock;
}

StampClock::Line StampClock::line() const {
  for (;;) {
    const std::uint32_t before = version_.load(std::memory_order_acquire);
    const Line l{anchor_mono_.load(std::memory_order_acquire),
                 anchor_time_.load(std::memory_order_acquire),
                 slow_.load(std::memory_order_acquire)};
    if ((before & 1) == 0 && version_.load(std::memory_order_relaxed) == before) return l;
  }
}

std::int64_t StampClock::nowNs() {
  const std::int64_t mono = monotonic_.nowNs();
  if (mono >= next_sample_.load(std::memory_order_relaxed)) return resample(mono);
  return line().at(mono);
}

std::int64_t StampClock::nowCoarseNs() {
  const std::int64_t mono = coarse_.nowNs();
  // Only the exact clock may set a new anchor.
  if (mono >= next_sample_.load(std::memory_order_relaxed)) return nowNs();
  return line().at(mono);
}

std::int64_t StampClock::resample(std::int64_t mono) {
  std::uint32_t v = version_.load(std::memory_order_relaxed);
  if ((v & 1) != 0 || !version_.compare_exchange_strong(v, v + 1, std::memory_order_acquire)) {
    return line().at(mono);  // somebody else does it
  }
  const Line old{anchor_mono_.load(std::memory_order_relaxed),
                 anchor_time_.load(std::memory_order_relaxed),
                 slow_.load(std::memory_order_relaxed)};
  const std::int64_t wall = wall_.nowNs();
  const std::int64_t expected = old.at(mono);
  const std::int64_t hold = expected > wall ? expected - wall : 0;
  const std::int64_t time = hold > 0 ? expected : wall;
  anchor_mono_.store(mono, std::memory_order_release);
  anchor_time_.store(time, std::memory_order_release);
  slow_.store(hold > kJitterNs, std::memory_order_release);
  hold_ns_.store(hold > kJitterNs ? hold : 0, std::memory_order_relaxed);
  next_sample_.store(mono + kSampleEveryNs, std::memory_order_relaxed);
  version_.store(v + 2, std::memory_order_release);
  return time;
}

std::int64_t StampClock::uniqueUs() {
  const std::int64_t now = nowNs() / 1000;
  std::int64_t last = last_us_.load(std::memory_order_relaxed);
  std::int64_t us = 0;
  do {
    us = now > last ? now : last + 1;
  } while (!last_us_.compare_exchange_weak(last, us, std::memory_order_relaxed));
  const auto ahead = static_cast<std::uint64_t>(us - now);
  if (ahead != ahead_us_.load(std::memory_order_relaxed)) {
    ahead_us_.store(ahead, std::memory_order_relaxed);
  }
  return us;
}

}  // namespace godwit::metrics
