#include "metrics/tick_clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include <cmath>

namespace godwit::metrics {
namespace {

constexpr double kHorizonNs = 1e6;               // between two looks of a thread
constexpr std::int64_t kMeasureNs = 10'000'000;  // long enough that reading the clocks is nothing
constexpr std::int64_t kRenewNs = 1'000'000'000;
constexpr double kOne = 4294967296.0;  // of rate_
constexpr double kLess = 1 - 1e-5;     // more than two measurements differ by
constexpr double kSteady = 1e-4;       // a counter that is further off is not used
// A thread that was interrupted between its two readings looks again next time.
constexpr std::uint64_t kInterrupted = 10'000;

#if defined(__x86_64__)
std::uint64_t tsc() { return __rdtsc(); }
#endif

}  // namespace

struct TickClock::Look {
  const TickClock* of = nullptr;
  std::uint64_t ticks = 0;
  std::int64_t ns = 0;
  std::uint64_t rate = 0;
  std::uint64_t valid = 0;  // so many ticks
};

TickClock::Ticks TickClock::processorTicks() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  // "Invariant TSC": one speed in every power state.
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1u << 8) != 0) return tsc;
#endif
  return nullptr;
}

std::int64_t TickClock::nowNs() const {
  if (!ticks_) return exact_.nowNs();
  thread_local Look last;
  // Backwards is a large number, too.
  const std::uint64_t now = ticks_();
  const std::uint64_t passed = now - last.ticks;
  if (passed >= last.valid || last.of != this) return look(last, now);
  return last.ns + static_cast<std::int64_t>(passed * last.rate >> 32);
}

std::int64_t TickClock::look(Look& last, std::uint64_t before) const {
  const std::int64_t ns = exact_.nowNs();
  const std::uint64_t ticks = ticks_();
  const bool at_once = ticks - before < kInterrupted;
  if (at_once) measure(ticks, ns);
  const std::uint64_t rate = rate_.load(std::memory_order_relaxed);
  const bool usable = at_once && rate != 0;
  last = {this, ticks, ns, rate,
          usable ? static_cast<std::uint64_t>(kHorizonNs * kOne / static_cast<double>(rate)) : 0};
  return ns;
}

void TickClock::measure(std::uint64_t ticks, std::int64_t ns) const {
  if (measuring_.test_and_set(std::memory_order_acquire)) return;
  const std::int64_t took = ns - base_ns_;
  if (base_ns_ == 0 || took <= 0 || ticks <= base_ticks_) {
    base_ticks_ = ticks;
    base_ns_ = ns;
    last_rate_ = 0;
    rate_.store(0, std::memory_order_relaxed);
  } else if (took >= (last_rate_ == 0 || rate_.load(std::memory_order_relaxed) == 0 ? kMeasureNs
                                                                                    : kRenewNs)) {
    const double rate = static_cast<double>(took) / static_cast<double>(ticks - base_ticks_);
    const bool steady = std::abs(rate - last_rate_) <= last_rate_ * kSteady;
    rate_.store(steady ? static_cast<std::uint64_t>(rate * kLess * kOne) : 0,
                std::memory_order_relaxed);
    last_rate_ = rate;
    base_ticks_ = ticks;
    base_ns_ = ns;
  }
  measuring_.clear(std::memory_order_release);
}

}  // namespace godwit::metrics
