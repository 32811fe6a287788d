#include "metrics/stamp_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace godwit::metrics {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'795'153'696 * kSecond;

struct Clocks {
  ManualClock wall{kStart};
  ManualClock mono{5 * kSecond};
  StampClock stamps{wall, mono};
  void pass(std::int64_t ns) {
    wall.advanceNs(ns);
    mono.advanceNs(ns);
  }
};

TEST(StampClock, follows_the_wall_clock) {
  Clocks c;
  EXPECT_EQ(c.stamps.nowNs(), kStart);
  c.pass(kSecond / 20);
  EXPECT_EQ(c.stamps.nowNs(), kStart + kSecond / 20);
  c.pass(kSecond * 100);
  EXPECT_EQ(c.stamps.nowNs(), kStart + kSecond * 100 + kSecond / 20);
}

TEST(StampClock, a_step_forward_is_followed_at_the_next_sample) {
  Clocks c;
  c.wall.advanceNs(3600 * kSecond);
  c.pass(kSecond);
  EXPECT_EQ(c.stamps.nowNs(), kStart + 3601 * kSecond);
  EXPECT_EQ(c.stamps.holdNs(), 0);
}

TEST(StampClock, after_a_step_back_time_goes_on_at_half_speed_until_caught_up) {
  Clocks c;
  c.wall.advanceNs(-3600 * kSecond);
  std::int64_t last = c.stamps.nowNs();
  c.pass(kSecond);
  EXPECT_EQ(c.stamps.nowNs(), kStart + kSecond);
  EXPECT_EQ(c.stamps.holdNs(), 3600 * kSecond);
  for (int s = 0; s < 7300; ++s) {
    c.pass(kSecond);
    const std::int64_t now = c.stamps.nowNs();
    ASSERT_GT(now, last);
    last = now;
  }
  EXPECT_EQ(c.stamps.nowNs(), c.wall.nowNs());
  EXPECT_EQ(c.stamps.holdNs(), 0);
}

TEST(StampClock, stamps_are_unique_and_rising_through_steps_of_an_hour) {
  Clocks c;
  std::int64_t last = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (i % 3000 == 1000) c.wall.advanceNs(3600 * kSecond);
    if (i % 3000 == 2000) c.wall.advanceNs(-2 * 3600 * kSecond);
    c.pass(i % 7 == 0 ? 0 : kSecond / 50);
    const std::int64_t us = c.stamps.uniqueUs();
    ASSERT_GT(us, last);
    last = us;
  }
}

TEST(StampClock, tells_how_far_it_ran_ahead) {
  Clocks c;
  for (int i = 0; i < 5; ++i) c.stamps.uniqueUs();
  EXPECT_EQ(c.stamps.aheadUs(), 4u);
  c.pass(kSecond);
  c.stamps.uniqueUs();
  EXPECT_EQ(c.stamps.aheadUs(), 0u);
}

TEST(StampClock, no_two_threads_get_the_same_microsecond) {
  StampClock& clock = StampClock::system();
  std::vector<std::vector<std::int64_t>> got(4);
  std::vector<std::thread> threads;
  for (auto& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) mine.push_back(clock.uniqueUs());
    });
  }
  for (auto& t : threads) t.join();
  std::vector<std::int64_t> all;
  for (auto& mine : got) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace godwit::metrics
