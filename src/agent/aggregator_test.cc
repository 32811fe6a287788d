#include "agent/aggregator.h"

#include <gtest/gtest.h>

#include <random>

#include "metrics/metrics_binary.h"

namespace godwit::agent {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

AggregatorOptions options() {
  AggregatorOptions o;
  o.interval_ns = 10 * kSecond;
  return o;
}

std::vector<std::string> closeAll(Aggregator& a, std::int64_t next) {
  std::vector<std::string> out;
  a.close(next, [&](const metrics::Metrics& m) { out.push_back(metrics::encodeMetrics(m, 0)); });
  return out;
}

std::map<std::string, double> values(Aggregator& a, std::int64_t next) {
  std::map<std::string, double> out;
  a.close(next, [&](const metrics::Metrics& m) {
    for (const auto* list : {&m.counters, &m.extra}) {
      for (const auto& s : *list) {
        std::string key = s.name;
        for (const auto& [k, v] : m.dims) key += "," + k + "=" + v;
        out[key] = s.value;
      }
    }
  });
  return out;
}

TEST(Aggregator, sums_rates_gauges_and_sets) {
  Aggregator a(options());
  a.add(7,
        "c:1|c\nc:2|c|@0.5\ng:5|g\ng:+2|g\ng:-1|g\nn:0|g\nn:-5|g\ns:a|s\ns:b|s\ns:a|s\nt:10|ms\nt:"
        "30|ms");
  auto v = values(a, 8);
  EXPECT_DOUBLE_EQ(v["c"], 5);
  EXPECT_DOUBLE_EQ(v["g"], 6);
  EXPECT_DOUBLE_EQ(v["n"], -5);
  EXPECT_DOUBLE_EQ(v["s"], 2);
  EXPECT_DOUBLE_EQ(v["t"], 40);
  a.add(8, "g:+1|g");
  EXPECT_DOUBLE_EQ(values(a, 9)["g"], 7);  // a gauge outlives its window
}

TEST(Aggregator, tags_in_any_order_are_one_series) {
  Aggregator a(options());
  a.add(1, "c:1|c|#a:1,b:2\nc:1|c|#b:2,a:1\nc,b=2,a=1:1|c");
  auto v = values(a, 2);
  EXPECT_EQ(v.size(), 1u);
  EXPECT_DOUBLE_EQ((v["c,a=1,b=2"]), 3);
}

TEST(Aggregator, overflow_keeps_totals_per_name) {
  AggregatorOptions o = options();
  o.max_series = 100;
  o.max_series_per_name = 50;
  Aggregator a(o);
  for (int i = 0; i < 1000; ++i) a.add(1, "x:1|c|#id:" + std::to_string(i));
  for (int i = 0; i < 1000; ++i) a.add(1, "y:1|c|#id:" + std::to_string(i));
  auto v = values(a, 2);
  double x = 0, y = 0;
  for (auto& [k, n] : v) (k[0] == 'x' ? x : y) += n;
  EXPECT_DOUBLE_EQ(x, 1000);
  EXPECT_DOUBLE_EQ(y, 1000);
  EXPECT_DOUBLE_EQ(v["x,godwit_overflow=true"], 950);
  EXPECT_LE(v.size(), 103u);
  EXPECT_EQ(a.counts().good, 2000u);
  ASSERT_FALSE(a.offenders().empty());
}

TEST(Aggregator, explicit_times_are_points_of_their_own) {
  Aggregator a(options());
  a.add(1, "c:1|c|T100\nc:2|c|T200\nc:4|c");
  std::map<std::int64_t, double> at;
  a.close(2, [&](const metrics::Metrics& m) { at[m.counters[0].ts] = m.counters[0].value; });
  EXPECT_DOUBLE_EQ(at[100 * kSecond], 1);
  EXPECT_DOUBLE_EQ(at[200 * kSecond], 2);
  EXPECT_DOUBLE_EQ(at[10 * kSecond], 4);
}

// The promise everything else rests on: save and restore anywhere, and the points are the same,
// byte for byte.
TEST(Aggregator, interrupted_anywhere_it_gives_the_same_points) {
  AggregatorOptions o = options();
  o.max_series = 40;
  o.max_series_per_name = 15;
  std::mt19937 rnd(1);
  std::vector<std::pair<std::int64_t, std::string>> input;
  for (int i = 0; i < 600; ++i) {
    std::string lines;
    for (int k = 0; k < 5; ++k) {
      static const char* const kTypes[] = {"c", "g", "ms", "s", "h", "c|T5", "c|@0.1"};
      lines += "n" + std::to_string(rnd() % 6) + ":" + std::to_string(rnd() % 50) + "|" +
               kTypes[rnd() % 7] + "|#t:" + std::to_string(rnd() % 9) + "\n";
    }
    if (i % 50 == 0) lines += "_e{1,1}:t|x\n";
    input.emplace_back(i / 100, lines);
  }
  auto run = [&](int every) {
    std::vector<std::string> out;
    auto a = std::make_unique<Aggregator>(o);
    int n = 0;
    for (auto& [w, text] : input) {
      if (a->open() != Aggregator::kNone && w > a->open()) {
        for (auto& p : closeAll(*a, w)) out.push_back(std::move(p));
      }
      a->add(w, text);
      if (every > 0 && ++n % every == 0) {
        std::string state;
        a->save(state);
        a = std::make_unique<Aggregator>(o);
        EXPECT_TRUE(a->restore(state));
      }
    }
    for (auto& p : closeAll(*a, 100)) out.push_back(std::move(p));
    out.push_back(std::to_string(a->counts().good) + " " + std::to_string(a->counts().points));
    return out;
  };
  auto straight = run(0);
  EXPECT_EQ(straight, run(1));
  EXPECT_EQ(straight, run(7));
  EXPECT_EQ(straight, run(113));
}

// A line that was seen before but for its value takes a shorter way. A restored aggregator has seen
// none, so both ways have to come to the same, refusals and counters included.
TEST(Aggregator, known_lines_come_to_the_same_as_unknown_ones) {
  AggregatorOptions o = options();
  o.max_series = 60;
  o.max_series_per_name = 12;
  o.statsd.max_tags = 3;
  o.statsd.max_tag = 6;
  static const char* const kNames[] = {
      "a",     "abcdefg", "abcdefgh", "a,t=1",
      "a;t=1", "_e{1,1}", "",         "a.name.of.more.than.thirty-two.bytes"};
  static const char* const kValues[] = {"1",   "2.5", "-3",  "+4",          "1:2", "x:y", "", "nan",
                                        "1e3", "+-1", "0x1", "12345678901", "1:",  ":1",  "/"};
  static const char* const kSections[] = {"|c",
                                          "|g",
                                          "|ms",
                                          "|h",
                                          "|d",
                                          "|s",
                                          "|kv",
                                          "|m",
                                          "|q",
                                          "|",
                                          "|c|@0.1",
                                          "|ms|@0.3",
                                          "|c|@2",
                                          "|c|#b:2,a:1",
                                          "|c|#a:1,b:2",
                                          "|c|#long:value,b,c,d",
                                          "|c|T5",
                                          "|g|c:id",
                                          "|s|#a:1",
                                          "|c\r",
                                          "",
                                          "|c|#a:1|@0.5|e:x"};
  std::mt19937 rnd(3);
  Aggregator warm(o), cold(o);
  for (int i = 0; i < 30'000; ++i) {
    std::string line = std::string(kNames[rnd() % std::size(kNames)]) + (rnd() % 20 ? ":" : "") +
                       kValues[rnd() % std::size(kValues)] +
                       kSections[rnd() % std::size(kSections)];
    const std::int64_t w = i / 10'000;
    if (warm.open() != Aggregator::kNone && w > warm.open()) {
      ASSERT_EQ(closeAll(warm, w), closeAll(cold, w));
    }
    warm.add(w, line);
    cold.add(w, line);
    std::string state;
    cold.save(state);
    ASSERT_TRUE(cold.restore(state));
    ASSERT_EQ(warm.counts(), cold.counts()) << line;
  }
  EXPECT_GT(warm.counts().tags_cut, 0u);
  EXPECT_GT(warm.counts().overflowed, 0u);
  ASSERT_EQ(closeAll(warm, 9), closeAll(cold, 9));
}

// More series than the cache begins with, lines too long for it, and a window in between.
TEST(Aggregator, any_number_of_lines_is_told_apart) {
  AggregatorOptions o = options();
  o.max_series_per_name = o.max_series;
  Aggregator a(o);
  for (std::int64_t w = 1; w <= 2; ++w) {
    for (int round = 0; round < 3; ++round) {
      std::string text;
      for (int i = 0; i < 20'000; ++i) {
        text += "n" + std::to_string(i % 2000) + ":" + std::to_string(i) +
                "|c|#id:" + std::to_string(i) + "\n";
        if (i % 1000 == 0) {
          text += "long:" + std::to_string(i) + "|c|#x:" + std::string(2000, 'x') +
                  std::to_string(i) + "\n";
        }
      }
      a.add(w, text);
    }
    auto v = values(a, w + 1);
    ASSERT_EQ(v.size(), 20'001u);  // the long ones differ behind the cut only
    for (int i = 0; i < 20'000; i += 7) {
      auto n = std::to_string(i % 2000), id = std::to_string(i);
      ASSERT_DOUBLE_EQ((v["n" + n + ",id=" + id]), 3.0 * i);
    }
  }
}

TEST(Aggregator, damaged_state_is_refused_whole) {
  Aggregator a(options());
  a.add(1, "c:1|c\ng:1|g\nt:1|ms\ns:x|s");
  std::string state;
  a.save(state);
  for (std::size_t n = 0; n < state.size(); ++n) {
    Aggregator b(options());
    EXPECT_FALSE(b.restore(state.substr(0, n)));
    EXPECT_TRUE(b.empty());
  }
}

TEST(Distinct, exact_then_estimated_within_a_few_percent) {
  Distinct d;
  for (int i = 0; i < 1000; ++i) d.add(std::to_string(i % 500));
  EXPECT_DOUBLE_EQ(d.count(), 500);
  for (int i = 0; i < 100'000; ++i) d.add(std::to_string(i));
  EXPECT_NEAR(d.count(), 100'000, 6'000);
  std::string bytes;
  d.appendTo(bytes);
  EXPECT_DOUBLE_EQ(Distinct::parse(bytes)->count(), d.count());
}

}  // namespace
}  // namespace godwit::agent
