#include "metrics/tick_clock.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <ctime>

#include "metrics/stamp_clock.h"

namespace godwit::metrics {
namespace {

constexpr std::int64_t kMs = 1'000'000;

std::uint64_t g_ticks = 0;
std::uint64_t fakeTicks() { return g_ticks; }

// Counts the looks.
class Exact final : public Clock {
 public:
  [[nodiscard]] std::int64_t nowNs() const override {
    ++looks;
    return ns;
  }
  std::int64_t ns = 5'000 * kMs;
  mutable int looks = 0;
};

struct Machine {
  Exact exact;
  TickClock clock{exact, fakeTicks};
  double ticks_per_ns = 2.5;
  double owed = 0;

  Machine() { g_ticks = 1'000'000; }
  void pass(std::int64_t ns) {
    exact.ns += ns;
    owed += static_cast<double>(ns) * ticks_per_ns;
    const auto whole = static_cast<std::uint64_t>(owed);
    g_ticks += whole;
    owed -= static_cast<double>(whole);
  }
  // How late the clock is.
  std::int64_t late() { return exact.ns - clock.nowNs(); }
  // Asks for a while, as threads do.
  void run(std::int64_t ns) {
    for (; ns > 0; ns -= 2 * kMs) {
      pass(2 * kMs);
      static_cast<void>(late());
    }
  }
  int looksOfThousandCalls() {
    const int before = exact.looks;
    for (int i = 0; i < 1000; ++i) {
      pass(500);
      static_cast<void>(late());
    }
    return exact.looks - before;
  }
};

TEST(TickClock, looks_every_time_until_it_knows_the_counters_speed) {
  Machine m;
  EXPECT_EQ(m.looksOfThousandCalls(), 1000);
  m.run(40 * kMs);
  EXPECT_LE(m.looksOfThousandCalls(), 2);
}

TEST(TickClock, carries_on_within_a_few_nanoseconds_and_never_ahead) {
  Machine m;
  m.run(100 * kMs);
  std::int64_t before = 0;
  for (int i = 0; i < 200'000; ++i) {
    m.pass(1 + i % 7000);
    const std::int64_t now = m.clock.nowNs();
    ASSERT_LE(now, m.exact.ns);
    ASSERT_GE(now, m.exact.ns - 20);
    ASSERT_GE(now, before);
    before = now;
  }
}

TEST(TickClock, a_counter_that_steps_or_changes_puts_it_off_by_less_than_a_millisecond) {
  Machine m;
  std::srand(11);
  for (int i = 0; i < 20'000; ++i) {
    m.run(2 * kMs * (1 + std::rand() % 8));
    switch (std::rand() % 5) {
      case 0:
        g_ticks += static_cast<std::uint64_t>(std::rand());  // another processor, ahead
        break;
      case 1:
        g_ticks /= 2;  // set back
        break;
      case 2:
        m.ticks_per_ns = 2 + std::rand() % 100 / 100.0;  // another machine
        break;
      case 3:
        m.exact.ns += kMs / 2;  // it stood still
        break;
      default:
        break;
    }
    m.pass(std::rand() % 100'000);
    ASSERT_LT(std::abs(m.late()), kMs);
  }
}

TEST(TickClock, a_counter_that_changes_its_speed_is_used_again_once_it_is_steady) {
  Machine m;
  m.run(2'000 * kMs);
  m.ticks_per_ns = 3.1;
  int unused = 0;
  for (int i = 0; i < 600; ++i) {
    m.run(2 * kMs);
    const int before = m.exact.looks;
    m.pass(100);
    static_cast<void>(m.late());
    unused += m.exact.looks - before;
  }
  EXPECT_GT(unused, 0);
  EXPECT_LT(unused, 30);
  EXPECT_LE(m.looksOfThousandCalls(), 2);
  for (int i = 0; i < 1000; ++i) {
    m.pass(997);
    ASSERT_GE(m.late(), 0);
    ASSERT_LE(m.late(), 20);
  }
}

TEST(TickClock, two_clocks_in_one_thread_do_not_mix) {
  Machine a;
  a.run(100 * kMs);
  Exact other;
  other.ns = 77;
  const TickClock b(other, fakeTicks);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(b.nowNs(), 77);
    EXPECT_EQ(a.late(), 0);
  }
}

TEST(TickClock, without_a_counter_it_is_the_exact_one) {
  Exact exact;
  const TickClock clock(exact, nullptr);
  for (int i = 0; i < 100; ++i) {
    exact.ns += 12'345;
    EXPECT_EQ(clock.nowNs(), exact.ns);
  }
}

// The real one, asked as fast as can be for a quarter of a second: it stays between two looks at
// the kernel's clock, but for what it may be late.
TEST(TickClock, the_machines_own_stays_beside_the_kernels) {
  const Clock& ours = StampClock::systemMonotonic();
  const auto kernel = [] {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  };
  const std::int64_t end = kernel() + 250 * kMs;
  for (std::int64_t before = kernel(); before < end;) {
    const std::int64_t now = ours.nowNs();
    const std::int64_t after = kernel();
    ASSERT_GT(now, before - kMs);
    ASSERT_LT(now, after + kMs);
    before = after;
  }
}

}  // namespace
}  // namespace godwit::metrics
