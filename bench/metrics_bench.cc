// bench-links: metrics base benchmark::benchmark
// What measuring costs a program: collectors, handles, one request's worth, the append itself, and
// beside it what the same program would pay for a write(2) or a datagram. The directory is
// $GODWIT_BENCH_DIR or the temporary one; METHOD.md says how to read the figures.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "godwit/metrics/client.h"
#include "metrics/lane_reader.h"
#include "metrics/metrics_binary.h"
#include "metrics/sketch.h"
#include "metrics/spool_writer.h"
#include "metrics/test_dir.h"
#include "metrics/wire_json.h"

namespace {

using namespace godwit::metrics;
namespace fs = std::filesystem;
using std::chrono::microseconds;

constexpr std::size_t kPayload = 168;  // a frame of 200 bytes

spool::WriterOptions writerOptions(const std::string& dir) {
  spool::WriterOptions o;
  o.dir = dir;
  o.first_segment_size = o.segment_size;
  o.limits.min_free = 0;
  return o;
}

// Plays an agent that keeps up: what has been sealed goes to free/, or away.
void consume(const std::string& spool_dir, bool recycle) {
  std::error_code ignored;
  for (const auto& name : spool::listLanes(spool_dir)) {
    const std::string lane = spool_dir + "/lanes/" + name;
    const std::string free_dir = lane + "/free";
    fs::create_directory(free_dir, ignored);
    auto segments = spool::listSegments(lane);
    if (!segments.empty()) segments.pop_back();
    for (const auto n : segments) {
      const std::string file = lane + "/" + spool::segmentName(n);
      if (recycle && spool::listSegments(free_dir).size() < spool::kMaxFreeSegments) {
        fs::rename(file, free_dir + "/" + spool::segmentName(n), ignored);
      } else {
        fs::remove(file, ignored);
      }
    }
  }
}

Options clientOptions(const std::string& dir) {
  Options o;
  o.spool_dir = dir;
  o.min_free = 0;
  return o;
}

void collectorAddCountExisting(benchmark::State& state) {
  Collector c;
  c.add_count("ClientError", 1);
  c.add_count("Failure", 1);
  for (auto _ : state) c.add_count("Failure", 1);
}
BENCHMARK(collectorAddCountExisting);

void collectorSetTimerExisting(benchmark::State& state) {
  Collector c;
  for (auto _ : state) c.set_timer("RequestTime", microseconds(12'500));
}
BENCHMARK(collectorSetTimerExisting);

void collectorSetDimensionExisting(benchmark::State& state) {
  Collector c;
  for (auto _ : state) c.set_dimension("method", "get_record");
}
BENCHMARK(collectorSetDimensionExisting);

// Four new counters in a new collector; time is for one add_count, its share of the rest included.
void collectorAddCountNew(benchmark::State& state) {
  while (state.KeepRunningBatch(4)) {
    Collector c;
    c.add_count("Failure", 1);
    c.add_count("ClientError", 1);
    c.add_count("userSignup", 1);
    c.add_count("cacheMiss", 1);
  }
}
BENCHMARK(collectorAddCountNew);

void handleCounterInc(benchmark::State& state) {
  static TestDir* dir = nullptr;
  static Client* client = nullptr;
  if (state.thread_index() == 0) {
    dir = new TestDir;
    client = new Client(clientOptions(dir->path()));
  }
  Counter* c = nullptr;
  for (auto _ : state) {
    if (!c) c = &client->counter("hits");
    c->inc();
  }
  if (state.thread_index() == 0) {
    delete client;
    delete dir;
  }
}
BENCHMARK(handleCounterInc)->Threads(1)->Threads(2);

void handleTimerRecord(benchmark::State& state) {
  const TestDir dir;
  Client client(clientOptions(dir.path()));
  Timer& t = client.timer("latency");
  std::int64_t ns = 1000;
  for (auto _ : state) {
    t.record(std::chrono::nanoseconds(ns));
    ns = ns * 17 % 100'000'007;
  }
}
BENCHMARK(handleTimerRecord);

void oneRequest(Client& client) {
  auto c = client.metrics();
  c.set_dimension("method", "get_record");
  c.set_timer("RequestTime", microseconds(12'500));
  c.add_count("Failure", 0);
  c.add_count("ClientError", 0);
  benchmark::DoNotOptimize(client.send(c));
}

// Dimension, timer, two counts, close, append. Every request is timed by itself as well.
void request(benchmark::State& state) {
  const TestDir dir;
  Client client(clientOptions(dir.path()));
  std::vector<std::int64_t> times;
  times.reserve(4'000'000);
  std::size_t n = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    oneRequest(client);
    const auto took = std::chrono::steady_clock::now() - start;
    if (times.size() < times.capacity()) times.push_back(took.count());
    if (++n % 10'000 == 0) {
      state.PauseTiming();
      consume(dir.path(), true);
      state.ResumeTiming();
    }
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double q) {
    return static_cast<double>(times[static_cast<std::size_t>(q * double(times.size() - 1))]);
  };
  state.counters["p50_ns"] = at(0.5);
  state.counters["p99_ns"] = at(0.99);
  state.counters["p99.9_ns"] = at(0.999);
  state.counters["max_us"] = at(1) / 1000;
  const Stats s = client.stats();
  state.counters["dropped"] = static_cast<double>(s.dropped_full + s.dropped_unavailable);
  state.counters["bytes/frame"] = static_cast<double>(s.bytes) / static_cast<double>(s.frames);
}
BENCHMARK(request)->MinTime(2);

void spoolAppend(benchmark::State& state, bool recycle) {
  static TestDir* dir = nullptr;
  static spool::SpoolWriter* writer = nullptr;
  if (state.thread_index() == 0) {
    dir = new TestDir;
    writer = new spool::SpoolWriter(writerOptions(dir->path()), StampClock::system());
  }
  const std::string payload(kPayload, 'x');
  std::size_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(writer->append(spool::FrameType::kStatsd, 1, payload));
    if (state.thread_index() == 0 && ++n % 20'000 == 0) {
      state.PauseTiming();
      consume(dir->path(), recycle);
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) {
    const auto s = writer->stats();
    state.counters["fresh"] = static_cast<double>(s.segments_fresh);
    state.counters["recycled"] = static_cast<double>(s.segments_recycled);
    delete writer;
    delete dir;
  }
}
void spoolAppendRecycled(benchmark::State& state) { spoolAppend(state, true); }
void spoolAppendFresh(benchmark::State& state) { spoolAppend(state, false); }
BENCHMARK(spoolAppendRecycled)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(spoolAppendFresh)->Threads(1)->UseRealTime();

// The append and nothing else: pages are hot, no segment ends within a batch.
void spoolAppendHot(benchmark::State& state) {
  const TestDir dir;
  spool::SpoolWriter writer(writerOptions(dir.path()), StampClock::system());
  const std::string payload(kPayload, 'x');
  std::vector<std::int64_t> times;
  times.reserve(4'000'000);
  std::size_t n = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(writer.append(spool::FrameType::kStatsd, 1, payload));
    if (times.size() < times.capacity()) {
      times.push_back((std::chrono::steady_clock::now() - start).count());
    }
    if (++n % 20'000 == 0) {
      state.PauseTiming();
      consume(dir.path(), true);
      state.ResumeTiming();
    }
  }
  std::sort(times.begin(), times.end());
  for (const auto& [name, q] : {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}}) {
    state.counters[name] = static_cast<double>(
        times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))]);
  }
}
BENCHMARK(spoolAppendHot);

void peerWriteAppend(benchmark::State& state) {
  const TestDir dir;
  const int fd = ::open((dir.path() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const std::string frame(kPayload + 32, 'x');
  std::size_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(::write(fd, frame.data(), frame.size()));
    if (++n % 400'000 == 0) {
      state.PauseTiming();
      if (::ftruncate(fd, 0) != 0) state.SkipWithError("truncate");
      state.ResumeTiming();
    }
  }
  ::close(fd);
}
BENCHMARK(peerWriteAppend);

void peerUdpSend(benchmark::State& state) {
  const int in = ::socket(AF_INET, SOCK_DGRAM, 0);
  const int out = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof a;
  if (::bind(in, reinterpret_cast<sockaddr*>(&a), len) != 0 ||
      ::getsockname(in, reinterpret_cast<sockaddr*>(&a), &len) != 0 ||
      ::connect(out, reinterpret_cast<sockaddr*>(&a), len) != 0) {
    state.SkipWithError("no socket");
  }
  const std::string line = "kinto.method.get_record.RequestTime:12.5|ms";
  for (auto _ : state)
    benchmark::DoNotOptimize(::send(out, line.data(), line.size(), MSG_DONTWAIT));
  ::close(in);
  ::close(out);
}
BENCHMARK(peerUdpSend);

Metrics example() {
  Collector c;
  c.set_dimension("app", "kinto");
  c.set_dimension("method", "get_record");
  c.set_timer("RequestTime", microseconds(12'500));
  c.add_count("Failure", 0);
  c.add_count("ClientError", 0);
  return c.close();
}

void codecEncode(benchmark::State& state) {
  const Metrics m = example();
  std::vector<char> out(encodedSize(m));
  for (auto _ : state) {
    encodeMetrics(m, 1, out.data());
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(codecEncode);

void codecDecode(benchmark::State& state) {
  const std::string bytes = encodeMetrics(example());
  Metrics m;
  for (auto _ : state) benchmark::DoNotOptimize(decodeMetrics(bytes, m).ok());
  state.SetItemsProcessed(state.iterations() * 3);  // metrics
}
BENCHMARK(codecDecode);

void wireJsonWrite(benchmark::State& state) {
  const Metrics m = example();
  std::string out;
  for (auto _ : state) {
    out.clear();
    appendWireJson(out, m, m.counters[0].ts);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK(wireJsonWrite);

void wireJsonParse(benchmark::State& state) {
  const Metrics m = example();
  std::string text;
  appendWireJson(text, m, m.counters[0].ts);
  Metrics out;
  for (auto _ : state) benchmark::DoNotOptimize(parseWireJson(text, out).ok());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(wireJsonParse);

// A lane of 64 MiB, page cache warm.
void laneRead(benchmark::State& state) {
  const TestDir dir;
  spool::SpoolWriter writer(writerOptions(dir.path()), StampClock::system());
  const std::string payload = encodeMetrics(example());
  for (int i = 0; i < 400'000; ++i) {
    writer.append(spool::FrameType::kMetrics, 3, payload, 0, true);
  }
  const std::string lane = dir.path() + "/lanes/" + spool::listLanes(dir.path()).at(0);
  spool::FrameView f;
  spool::Gap g;
  std::int64_t frames = 0;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    auto reader = spool::LaneReader::open(lane);
    while (reader->next(f, g) == spool::ReadStatus::kFrame) {
      ++frames;
      bytes += static_cast<std::int64_t>(f.payload.size()) + 32;
    }
  }
  state.SetItemsProcessed(frames);
  state.SetBytesProcessed(bytes);
}
BENCHMARK(laneRead)->Unit(benchmark::kMillisecond);

void sketchAdd(benchmark::State& state) {
  Sketch s;
  double v = 1;
  for (auto _ : state) {
    s.add(v);
    v = v < 1e6 ? v * 1.37 : 1;
  }
}
BENCHMARK(sketchAdd);

}  // namespace

BENCHMARK_MAIN();
