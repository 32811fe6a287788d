#include "godwit/metrics/collector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "godwit/metrics/client.h"

namespace godwit::metrics {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(CollectorTest, counters_sum_and_keep_their_first_timestamp) {
  Collector c;
  c.add_count("a", 1, 1000);
  c.add_count("a", 2.5, 2000);
  c.add_count("b", 1);
  const Metrics m = c.close();
  ASSERT_EQ(m.counters.size(), 2u);
  EXPECT_EQ(m.counters[0].name, "a");
  EXPECT_EQ(m.counters[0].value, 3.5);
  EXPECT_EQ(m.counters[0].ts, 1000);
  EXPECT_TRUE(m.counters[0].explicit_ts);
  EXPECT_FALSE(m.counters[1].explicit_ts);
  EXPECT_EQ(m.counters[1].ts % 1000, 0);
}

TEST(CollectorTest, replace_timestamp_replaces_it) {
  Collector c;
  c.add_count("a", 1, 1000);
  c.add_count("a", 1, 2000, {}, true);
  c.add_count("b", 1, 1000);
  c.add_count("b", 1, {}, {}, true);
  const Metrics m = c.close();
  EXPECT_EQ(m.counters[0].ts, 2000);
  EXPECT_GT(m.counters[1].ts, 1'000'000'000);
  EXPECT_FALSE(m.counters[1].explicit_ts);
}

TEST(CollectorTest, metadata_is_replaced_when_given_and_kept_when_not) {
  Collector c;
  c.add_count("a", 1, {}, {{"x", 1}, {"y", "z"}});
  c.add_count("a", 1);
  c.add_count("b", 1, {}, {{"x", 1}});
  c.add_count("b", 1, {}, {{"n", true}});
  c.set_timer("t", milliseconds(1), Milliseconds, {}, {{"x", 1.5}});
  c.set_timer("t", milliseconds(2));
  const Metrics m = c.close();
  EXPECT_EQ(m.counters[0].meta, (Meta{{"x", std::int64_t{1}}, {"y", "z"}}));
  EXPECT_EQ(m.counters[1].meta, (Meta{{"n", true}}));
  EXPECT_EQ(m.timers[0].meta, (Meta{{"x", 1.5}}));
}

TEST(CollectorTest, timers_gauges_and_dimensions_are_overwritten) {
  Collector c;
  c.set_timer("t", milliseconds(5), Milliseconds, 1000);
  c.set_timer("t", microseconds(1500), Seconds, 2000);
  c.set_gauge("g", 1);
  c.set_gauge("g", -2);
  c.set_dimension("d", "1");
  c.set_dimension("e", "2");
  c.set_dimension("d", "3");
  const Metrics m = c.close();
  ASSERT_EQ(m.timers.size(), 1u);
  EXPECT_EQ(m.timers[0].value, 0.0015);
  EXPECT_EQ(m.timers[0].unit, Seconds);
  EXPECT_EQ(m.timers[0].ts, 2000);
  ASSERT_EQ(m.extra.size(), 1u);
  EXPECT_EQ(m.extra[0].value, -2);
  EXPECT_EQ(m.dims, (Dims{{"d", "3"}, {"e", "2"}}));
}

TEST(CollectorTest, a_closed_one_throws_at_every_use) {
  Collector c;
  EXPECT_FALSE(c.closed());
  static_cast<void>(c.close());
  EXPECT_TRUE(c.closed());
  EXPECT_THROW(c.add_count("a", 1), CollectorClosed);
  EXPECT_THROW(c.add_count("a", std::nan("")), CollectorClosed);
  EXPECT_THROW(c.set_timer("a", milliseconds(1)), CollectorClosed);
  EXPECT_THROW(c.set_gauge("a", 1), CollectorClosed);
  EXPECT_THROW(c.set_dimension("a", "b"), CollectorClosed);
  EXPECT_THROW(static_cast<void>(c.close()), CollectorClosed);
  { auto t = c.time("late"); }  // must not end the program
}

TEST(CollectorTest, a_scoped_timer_measures_its_scope_unless_cancelled) {
  Collector c;
  {
    auto t = c.time("a", Microseconds);
    std::this_thread::sleep_for(milliseconds(2));
  }
  {
    auto t = c.time("b");
    t.cancel();
  }
  const Metrics m = c.close();
  ASSERT_EQ(m.timers.size(), 1u);
  EXPECT_GE(m.timers[0].value, 2000);
  EXPECT_EQ(m.timers[0].unit, Microseconds);
}

TEST(CollectorTest, implicit_timestamps_differ) {
  std::set<TimeNs> seen;
  for (int i = 0; i < 200; ++i) {
    Collector c;
    for (int k = 0; k < 20; ++k) c.add_count(std::to_string(k), 1);
    for (const Sample& s : c.close().counters) EXPECT_TRUE(seen.insert(s.ts).second);
  }
}

TEST(CollectorTest, thousands_of_names_are_found_again) {
  Collector c;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5000; ++i) c.add_count("counter." + std::to_string(i), i);
  }
  const Metrics m = c.close();
  ASSERT_EQ(m.counters.size(), 5000u);
  for (std::size_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(m.counters[i].name, "counter." + std::to_string(i));
    ASSERT_EQ(m.counters[i].value, 3.0 * static_cast<double>(i));
  }
}

// A thread uses the memory of its former collectors again.
TEST(CollectorTest, a_new_one_knows_nothing_of_those_before_it) {
  for (int i = 0; i < 20; ++i) {
    Collector c;
    Collector within;
    within.add_count("inner", 1);
    EXPECT_FALSE(c.closed());
    c.set_dimension("d" + std::to_string(i), "v");
    for (int k = 0; k <= i; ++k)
      c.add_count("n" + std::to_string(i * 100 + k), 1, {}, {{"m", true}});
    c.set_timer("t", milliseconds(1), Microseconds);
    c.set_gauge("g", i);
    if (i % 3 == 0) continue;  // given up
    Collector moved = std::move(c);
    if (i % 3 == 1) within = std::move(moved);
    const Metrics m = i % 3 == 1 ? within.close() : moved.close();
    ASSERT_EQ(m.dims, (Dims{{"d" + std::to_string(i), "v"}}));
    ASSERT_EQ(m.counters.size(), static_cast<std::size_t>(i) + 1);
    EXPECT_EQ(m.counters.back().value, 1);
    EXPECT_EQ(m.timers.size() + m.extra.size(), 2u);
    EXPECT_EQ(m.timestamp_format, kDefaultTimestampFormat);
  }
}

TEST(CollectorTest, one_may_end_after_its_threads_other_objects) {
  std::thread([] {
    static thread_local std::optional<Collector> last;
    last.emplace();
    Collector().add_count("before", 1);  // what the thread keeps is made after `last`
    last->add_count("n", 1);
  }).join();
}

TEST(CollectorTest, many_threads_may_use_one) {
  Collector c;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) c.add_count(i % 2 ? "odd" : "even", 1);
    });
  }
  for (auto& t : threads) t.join();
  const Metrics m = c.close();
  EXPECT_EQ(m.counters[0].value + m.counters[1].value, 20'000);
}

}  // namespace
}  // namespace godwit::metrics
