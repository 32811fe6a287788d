#include "metrics/metrics_binary.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace godwit::metrics {
namespace {

Sample sample(std::string name, Kind kind, double value, TimeNs ts) {
  Sample s;
  s.name = std::move(name);
  s.kind = kind;
  s.value = value;
  s.ts = ts;
  return s;
}

Metrics full() {
  Metrics m;
  m.dims = {{"app", "kinto"}, {"", ""}, {"long", std::string(300, 'x')}};
  m.counters.push_back(sample("Failure", Kind::Counter, 0.0, 1'000'000));
  m.counters.push_back(sample("n", Kind::Counter, -0.0, -5'000));
  m.counters.back().explicit_ts = true;
  m.timers.push_back(sample("RequestTime", Kind::Timer, 12.5, 2'000'000));
  m.timers.back().unit = Milliseconds;
  m.timers.back().meta = {{"a", std::monostate{}}, {"b", true}, {"c", false},
                          {"d", std::int64_t{-7}}, {"e", 1.25}, {"f", std::string("g\0h", 3)}};
  m.timers.push_back(sample("days", Kind::Timer, 1e-3, 3'000'000));
  m.timers.back().unit = Unit{"days", 1.0 / 86400, true};
  m.extra.push_back(sample("set", Kind::Set, 1, 4'000'000));
  m.extra.back().data = "member";
  m.extra.back().rate = 0.25;
  m.timestamp_format = "%Y";
  m.serialized_at = "2026";
  return m;
}

TEST(MetricsBinary, gives_back_every_field) {
  const Metrics m = full();
  Metrics out;
  out.dims = {{"left", "over"}};
  const std::string bytes = encodeMetrics(m);
  EXPECT_EQ(bytes.size(), encodedSize(m));
  ASSERT_TRUE(decodeMetrics(bytes, out).ok());
  EXPECT_EQ(out, m);
  EXPECT_EQ(peekSampleCount(bytes), 5u);
}

TEST(MetricsBinary, adds_the_slot_to_implicit_timestamps_only) {
  Metrics out;
  ASSERT_TRUE(decodeMetrics(encodeMetrics(full(), 999), out).ok());
  EXPECT_EQ(out.counters[0].ts, 1'000'999);
  EXPECT_EQ(out.counters[1].ts, -5'000);
  EXPECT_EQ(out.extra[0].ts, 4'000'999);
}

TEST(MetricsBinary, an_empty_metrics_is_six_bytes) {
  Metrics out;
  const std::string bytes = encodeMetrics(Metrics{});
  EXPECT_EQ(bytes, std::string("\1\0\0\0\0\0", 6));
  ASSERT_TRUE(decodeMetrics(bytes, out).ok());
  EXPECT_EQ(out, Metrics{});
}

TEST(MetricsBinary, refuses_every_truncation_and_trailing_bytes) {
  const std::string bytes = encodeMetrics(full());
  Metrics out;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(decodeMetrics(std::string_view(bytes).substr(0, n), out).ok()) << n;
  }
  EXPECT_FALSE(decodeMetrics(bytes + '\0', out).ok());
}

TEST(MetricsBinary, survives_random_damage) {
  std::mt19937 rng(7);
  const std::string good = encodeMetrics(full());
  Metrics out;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) bytes[rng() % bytes.size()] = static_cast<char>(rng());
    if (!decodeMetrics(bytes, out).ok()) continue;
    Metrics again;
    // Compared as bytes: damage can make a NaN, which is unequal to itself.
    ASSERT_TRUE(decodeMetrics(encodeMetrics(out), again).ok());
    ASSERT_EQ(encodeMetrics(again), encodeMetrics(out));
  }
}

TEST(MetricsBinary, a_count_the_bytes_cannot_hold_reserves_nothing) {
  Metrics out;
  const std::string huge("\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0", 14);
  EXPECT_FALSE(decodeMetrics(huge, out).ok());
  EXPECT_EQ(peekSampleCount(huge), 0u);
}

}  // namespace
}  // namespace godwit::metrics
