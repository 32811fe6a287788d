#include "godwit/metrics/client.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "metrics/lane_reader.h"
#include "metrics/metrics_binary.h"
#include "metrics/sketch.h"
#include "metrics/test_dir.h"

namespace godwit::metrics {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class ClientTest : public ::testing::Test {
 protected:
  Options options() {
    Options o;
    o.spool_dir = dir_.path() + "/spool";
    o.min_free = 0;
    o.flush_interval = std::chrono::hours(1);
    return o;
  }
  // Everything in all lanes, in the order of lanes and frames.
  std::vector<Metrics> spooled() {
    std::vector<Metrics> out;
    for (const auto& name : spool::listLanes(dir_.path() + "/spool")) {
      auto r = spool::LaneReader::open(dir_.path() + "/spool/lanes/" + name);
      EXPECT_TRUE(r.ok());
      spool::FrameView f;
      spool::Gap g;
      for (;;) {
        const auto status = r->next(f, g);
        if (status == spool::ReadStatus::kEnd) break;
        EXPECT_EQ(status, spool::ReadStatus::kFrame);
        EXPECT_EQ(f.type, spool::FrameType::kMetrics);
        EXPECT_TRUE(decodeMetrics(f.payload, out.emplace_back()).ok());
        EXPECT_EQ(out.back().sampleCount(), f.n_samples);
        last_flags_ = f.flags;
      }
    }
    return out;
  }
  TestDir dir_;
  std::uint8_t last_flags_ = 0;
};

TEST_F(ClientTest, what_is_sent_is_in_the_spool_at_once) {
  auto o = options();
  o.default_dimensions = {{"app", "test"}};
  o.timestamp_format = "%Y";
  Client client(o);
  auto c = client.metrics();
  c.set_dimension("method", "get");
  c.add_count("Failure", 0);
  c.set_timer("RequestTime", microseconds(12'500));
  Metrics closed = c.close();
  const Metrics expected = closed;
  EXPECT_EQ(client.send(std::move(closed)), SendResult::Spooled);
  const auto all = spooled();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].dims, (Dims{{"app", "test"}, {"method", "get"}}));
  EXPECT_EQ(all[0].timestamp_format, "%Y");
  EXPECT_EQ(all[0].timers[0].value, 12.5);
  // Same microsecond, plus the lane's slot.
  EXPECT_EQ(all[0].counters[0].ts / 1000, expected.counters[0].ts / 1000);
  const auto s = client.stats();
  EXPECT_EQ(s.samples, 2u);
  EXPECT_EQ(s.frames, 1u);
}

TEST_F(ClientTest, nan_and_infinity_are_refused_and_counted) {
  Client client(options());
  auto c = client.metrics();
  c.add_count("a", std::nan(""));
  c.add_count("a", INFINITY);
  c.add_count("a", std::numeric_limits<double>::max());
  c.add_count("a", std::numeric_limits<double>::max());
  c.set_gauge("g", -INFINITY);
  client.counter("h").inc(std::nan(""));
  EXPECT_EQ(client.stats().dropped_nan, 5u);
  EXPECT_EQ(c.close().counters.size(), 1u);
}

TEST_F(ClientTest, an_empty_metrics_is_no_frame) {
  Client client(options());
  auto c = client.metrics();
  EXPECT_EQ(client.send(c), SendResult::Spooled);
  EXPECT_EQ(client.stats().frames, 0u);
}

TEST_F(ClientTest, sending_never_throws_where_there_is_no_spool) {
  auto o = options();
  o.spool_dir = "/proc/nowhere";
  Client client(o);
  for (int i = 0; i < 50'000; ++i) {
    auto c = client.metrics();
    c.add_count("a", 1);
    ASSERT_EQ(client.send(c), SendResult::Buffered);
  }
  const auto s = client.stats();
  EXPECT_EQ(s.buffered_frames + s.dropped_unavailable, 50'000u);
  EXPECT_FALSE(client.flush(Deadline::after(milliseconds(100))));
}

TEST_F(ClientTest, what_is_too_large_is_dropped_and_counted) {
  Client client(options());
  auto c = client.metrics();
  c.add_count("a", 1, {}, {{"x", std::string(2'000'000, 'x')}});
  c.add_count("b", 1);
  EXPECT_EQ(client.send(c), SendResult::Dropped);
  EXPECT_EQ(client.stats().dropped_oversize, 2u);
}

TEST_F(ClientTest, handles_are_summed_over_threads_and_sent_by_flush) {
  auto o = options();
  o.default_dimensions = {{"app", "x"}, {"host", "h"}};
  Client client(o);
  Counter& hits = client.counter("hits", {{"route", "/"}});
  EXPECT_EQ(&hits, &client.counter("hits", {{"route", "/"}}));
  EXPECT_EQ(&client.counter("n", {{"a", "1"}, {"b", "2"}}),
            &client.counter("n", {{"b", "2"}, {"a", "1"}}));
  Timer& t = client.timer("latency");
  Gauge& g = client.gauge("queue");
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        hits.inc();
        t.record(microseconds(i));
        g.set(i);
      }
    });
  }
  for (auto& th : threads) th.join();
  g.set(5);
  g.add(-2);
  EXPECT_TRUE(client.flush(Deadline::after(milliseconds(100))));
  EXPECT_TRUE(client.flush(Deadline::after(milliseconds(100))));
  double sum = 0;
  double sketch_count = 0;
  double gauge = 0;
  const auto all = spooled();
  EXPECT_EQ(all.size(), 2u);  // nothing new at the second flush
  for (const Metrics& m : all) {
    for (const Sample& s : m.counters) {
      sum += s.value;
      EXPECT_EQ(m.dims, (Dims{{"app", "x"}, {"host", "h"}, {"route", "/"}}));
    }
    for (const Sample& s : m.extra) {
      if (s.kind == Kind::Gauge) gauge = s.value;
      if (s.kind != Kind::Sketch) continue;
      const auto sketch = Sketch::parse(s.data);
      ASSERT_TRUE(sketch);
      sketch_count += sketch->count();
      EXPECT_NEAR(sketch->quantile(0.5), 5, 0.06);
      EXPECT_EQ(s.unit, Milliseconds);
      EXPECT_EQ(s.value, sketch->sum());
    }
  }
  EXPECT_EQ(sum, 40'000);
  EXPECT_EQ(sketch_count, 40'000);
  EXPECT_EQ(gauge, 3);
}

TEST_F(ClientTest, handles_are_flushed_by_time_and_by_the_destructor) {
  auto o = options();
  o.flush_interval = milliseconds(5);
  {
    Client client(o);
    client.counter("a").inc(2);
    const auto until = Deadline::after(std::chrono::seconds(20));
    while (client.stats().samples == 0 && !until.expired()) std::this_thread::yield();
    EXPECT_EQ(client.stats().samples, 1u);
  }
  {
    Client client(options());
    client.counter("a").inc(3);
  }
  double sum = 0;
  for (const Metrics& m : spooled()) sum += m.counters.at(0).value;
  EXPECT_EQ(sum, 5);
}

TEST_F(ClientTest, too_many_handles_share_one_that_keeps_the_sum) {
  auto o = options();
  o.max_handles = 10;
  Client client(o);
  for (int i = 0; i < 100; ++i) client.counter("c" + std::to_string(i)).inc();
  EXPECT_EQ(client.stats().handles, 10u);
  client.flush(Deadline::never());
  double sum = 0;
  for (const Metrics& m : spooled()) {
    for (const Sample& s : m.counters) sum += s.value;
  }
  EXPECT_EQ(sum, 100);
}

TEST_F(ClientTest, the_redis_channel_marks_frames_for_the_agent) {
  auto o = options();
  o.channel = Channel::Redis;
  Client client(o);
  auto c = client.metrics();
  c.add_count("a", 1);
  EXPECT_EQ(client.send(c), SendResult::Spooled);
  EXPECT_EQ(spooled().size(), 1u);
  EXPECT_EQ(last_flags_, spool::kForwardToRedis);
}

// The way gunicorn --preload does it: everything exists before the fork, eight children use it.
TEST_F(ClientTest, eight_workers_forked_from_a_running_client_lose_and_double_nothing) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer has no threads in the child of a threaded process";
#endif
  auto o = options();
#if defined(__SANITIZE_ADDRESS__)
  // AddressSanitizer's own allocator does not survive a fork that another thread's malloc meets.
  constexpr int kBusyThreads = 0;
#else
  constexpr int kBusyThreads = 2;
  o.flush_interval = milliseconds(3);
#endif
  auto client = std::make_unique<Client>(o);
  Counter& hits = client->counter("hits");
  Timer& latency = client->timer("latency");
  hits.inc(7);
  // Forking happens while other threads hold every lock there is.
  std::atomic<bool> stop{false};
  std::atomic<int> parent_sent{0};
  std::vector<std::thread> busy;
  for (int t = 0; t < kBusyThreads; ++t) {
    busy.emplace_back([&] {
      while (!stop.load()) {
        auto c = client->metrics();
        c.add_count("parent", 1);
        client->send(c);
        latency.record(milliseconds(1));
        parent_sent.fetch_add(1);
      }
    });
  }
  std::vector<pid_t> workers;
  for (int w = 0; w < 8; ++w) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      bool ok = true;
      for (int i = 0; i < 500; ++i) {
        auto c = client->metrics();
        c.set_dimension("worker", std::to_string(w));
        c.add_count("requests", 1);
        ok = client->send(c) == SendResult::Spooled && ok;
        hits.inc();
      }
      ok = client->flush(Deadline::after(std::chrono::seconds(5))) && ok;
      ::_exit(ok ? 0 : 1);
    }
    workers.push_back(pid);
  }
  for (const pid_t pid : workers) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  for (auto& t : busy) t.join();
  client.reset();

  double requests = 0;
  double parent = 0;
  double hit_sum = 0;
  std::map<std::string, std::set<TimeNs>> stamps;
  for (const Metrics& m : spooled()) {
    for (const Sample& s : m.counters) {
      if (s.name == "requests") requests += s.value;
      if (s.name == "parent") parent += s.value;
      if (s.name == "hits") hit_sum += s.value;
      EXPECT_TRUE(stamps[s.name].insert(s.ts).second) << "two points at one time";
    }
  }
  EXPECT_EQ(requests, 8 * 500);
  EXPECT_EQ(parent, parent_sent.load());
  EXPECT_EQ(hit_sum, 7 + 8 * 500);
  EXPECT_EQ(spool::listLanes(o.spool_dir).size(), 9u);
}

TEST_F(ClientTest, encoded_metrics_are_checked_before_they_are_appended) {
  Client client(options());
  Collector c;
  c.add_count("a", 1, 5);
  const std::string bytes = encodeMetrics(c.close());
  EXPECT_EQ(client.sendEncoded(bytes), SendResult::Spooled);
  EXPECT_EQ(client.sendEncoded(bytes.substr(1)), SendResult::Dropped);
  EXPECT_EQ(client.sendEncoded(""), SendResult::Dropped);
  EXPECT_EQ(spooled().size(), 1u);
}

}  // namespace
}  // namespace godwit::metrics
