#include "kinto/rolling_window.h"

#include <gtest/gtest.h>

#include <numeric>

namespace godwit::kinto {
namespace {

using namespace std::chrono_literals;
constexpr RollingWindow::Time at(std::chrono::milliseconds t) { return RollingWindow::Time(t); }

TEST(RollingWindow, tells_rate_quantiles_and_errors_of_complete_seconds) {
  RollingWindow w;
  for (int i = 0; i < 1000; ++i) {
    auto outcome = i % 10 == 0   ? Outcome::kFailure
                   : i % 10 == 1 ? Outcome::kClientError
                                 : Outcome::kGood;
    w.add(at(5000ms + std::chrono::milliseconds(i * 2)), i < 980 ? 2ms : 80ms, outcome);
  }
  // Two complete seconds with 500 each; what is under way does not count yet.
  w.add(at(7500ms), 1s, Outcome::kGood);
  auto s = w.summary(at(7900ms));
  EXPECT_EQ(s.count, 1000u);
  EXPECT_DOUBLE_EQ(s.rate, 500);
  EXPECT_NEAR(s.p50_ms, 2, 0.1);
  EXPECT_NEAR(s.p99_ms, 80, 4);
  EXPECT_DOUBLE_EQ(s.failures, 0.1);
  EXPECT_DOUBLE_EQ(s.client_errors, 0.1);
  EXPECT_EQ(s.total, 1001u);
  EXPECT_EQ(s.total_failures, 100u);
}

TEST(RollingWindow, forgets_what_is_old_and_keeps_the_totals) {
  RollingWindow w;
  w.add(at(1000ms), 1ms, Outcome::kFailure);
  EXPECT_EQ(w.summary(at(2000ms)).count, 1u);
  EXPECT_EQ(w.summary(at(1000ms + 1s * (RollingWindow::kRecent + 1))).count, 0u);
  auto h = w.history(at(61'500ms));
  ASSERT_EQ(h.size(), 60u);
  EXPECT_EQ(h.front(), 1u);
  EXPECT_EQ(std::accumulate(h.begin(), h.end(), 0u), 1u);
  h = w.history(at(62'500ms));
  EXPECT_EQ(std::accumulate(h.begin(), h.end(), 0u), 0u);
  EXPECT_EQ(w.summary(at(100s)).total, 1u);
  // The ring's place is taken again by a later second.
  w.add(at(1000ms + 62s), 1ms, Outcome::kGood);
  EXPECT_EQ(w.summary(at(64s)).count, 1u);
  EXPECT_EQ(w.summary(at(64s)).failures, 0);
}

TEST(RollingWindow, bears_any_duration) {
  RollingWindow w;
  w.add(at(0ms), 0ns, Outcome::kGood);
  w.add(at(0ms), std::chrono::hours(5), Outcome::kGood);
  auto s = w.summary(at(1s));
  EXPECT_NEAR(s.p50_ms, 0.001, 0.0001);
  EXPECT_GT(s.p99_ms, 100'000);
}

}  // namespace
}  // namespace godwit::kinto
