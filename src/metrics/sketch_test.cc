#include "metrics/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace godwit::metrics {
namespace {

TEST(Sketch, quantiles_are_within_one_percent) {
  std::mt19937_64 rng(1);
  std::lognormal_distribution<double> dist(2, 2);
  Sketch s;
  std::vector<double> all;
  for (int i = 0; i < 50'000; ++i) {
    all.push_back(dist(rng));
    s.add(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = all[static_cast<std::size_t>(q * 49'999)];
    EXPECT_NEAR(s.quantile(q), exact, exact * 0.0101) << q;
  }
  EXPECT_EQ(s.count(), 50'000);
  EXPECT_EQ(s.min(), all.front());
  EXPECT_EQ(s.max(), all.back());
}

TEST(Sketch, a_bin_holds_what_its_index_says) {
  for (double v = 1e-11; v < 1e12; v *= 1.37) {
    const int i = Sketch::index(v);
    EXPECT_LE(v, Sketch::binUpperBound(i) * (1 + 1e-12));
    EXPECT_GT(v, Sketch::binUpperBound(i - 1) * (1 - 1e-12));
    EXPECT_NEAR(Sketch::binValue(i), v, v * 0.01001);
  }
}

TEST(Sketch, merging_equals_adding_everything_to_one) {
  std::mt19937_64 rng(2);
  std::normal_distribution<double> dist(0, 100);
  Sketch one;
  Sketch parts[4];
  for (int i = 0; i < 10'000; ++i) {
    const double v = i % 50 == 0 ? 0.0 : dist(rng);
    one.add(v, 2);
    parts[i % 4].add(v, 2);
  }
  Sketch merged;
  for (const Sketch& p : parts) merged.merge(p);
  EXPECT_EQ(merged.count(), one.count());
  EXPECT_EQ(merged.zeroCount(), 400);
  EXPECT_NEAR(merged.sum(), one.sum(), 1e-6);
  for (const double q : {0.05, 0.3, 0.5, 0.51, 0.7, 0.99}) {
    EXPECT_EQ(merged.quantile(q), one.quantile(q));
  }
}

TEST(Sketch, stays_small_over_the_whole_range_and_keeps_the_count) {
  Sketch s;
  double n = 0;
  for (double v = 1e300; v > 1e-11; v /= 1.9) {
    s.add(v);
    ++n;
  }
  for (double v = 1e-11; v < 1e300; v *= 2.1) {
    s.add(-v);
    ++n;
  }
  EXPECT_LE(s.memoryBytes(), 80u * 1024);
  double binned = s.zeroCount();
  for (const auto& b : s.positiveBins()) binned += b.count;
  for (const auto& b : s.negativeBins()) binned += b.count;
  EXPECT_EQ(binned, n);
  EXPECT_NEAR(s.quantile(0.999), 1e300, 1e300);
}

TEST(Sketch, one_sign_takes_at_most_16_kib_of_bins) {
  Sketch s;
  for (double v = 1e-11; v < 1e300; v *= 1.01) s.add(v);
  EXPECT_LE(s.positiveBins().size(), Sketch::kMaxBins);
  EXPECT_NEAR(s.quantile(1), 1e300, 1e299);
}

TEST(Sketch, bytes_give_the_same_sketch) {
  std::mt19937_64 rng(3);
  Sketch s;
  for (int i = 0; i < 1000; ++i) s.add(static_cast<double>(rng() % 2000) - 500, 0.5);
  std::string bytes;
  s.appendTo(bytes);
  const auto t = Sketch::parse(bytes);
  ASSERT_TRUE(t);
  std::string again;
  t->appendTo(again);
  EXPECT_EQ(again, bytes);
  for (double q = 0; q <= 1; q += 0.01) EXPECT_EQ(t->quantile(q), s.quantile(q));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(Sketch::parse(std::string_view(bytes).substr(0, n))) << n;
  }
}

TEST(Sketch, damaged_bytes_never_give_a_sketch_that_cannot_be_used) {
  std::mt19937_64 rng(4);
  Sketch s;
  for (int i = 0; i < 50; ++i) s.add(i);
  std::string good;
  s.appendTo(good);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    bytes[rng() % bytes.size()] = static_cast<char>(rng());
    const auto t = Sketch::parse(bytes);
    EXPECT_TRUE(!t || std::isfinite(t->quantile(0.5)));
  }
}

TEST(Sketch, ignores_what_is_no_number) {
  Sketch s;
  s.add(std::nan(""));
  s.add(INFINITY);
  s.add(1, 0);
  s.add(1, -1);
  EXPECT_TRUE(s.empty());
  EXPECT_EQ(s.quantile(0.5), 0);
}

}  // namespace
}  // namespace godwit::metrics
