// bench-links: agent metrics base benchmark::benchmark
// The agent's inner loops. Also the tools of agent_bench.py:
//   agent_bench blast PORT|PATH PACKETS LINES [PER_SECOND]   sends StatsD datagrams
//   agent_bench sink PORT                                    counts datagrams, nothing else
//   agent_bench fill SPOOL FRAMES SAMPLES [PER_SECOND]       appends what a program measures
#include <benchmark/benchmark.h>

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "agent/aggregator.h"
#include "agent/decode.h"
#include "agent/line_protocol.h"
#include "metrics/metrics_binary.h"
#include "metrics/spool_writer.h"
#include "metrics/wire_json.h"

namespace {

using namespace godwit;

std::string packet(int lines) {
  std::string out;
  for (int i = 0; i < lines; ++i) {
    out += "app.requests.handler" + std::to_string(i) + ":1|c|#env:prod\n";
  }
  out.pop_back();
  return out;
}

metrics::Metrics request() {
  metrics::Metrics m;
  m.dims = {{"app", "kinto"}, {"method", "get"}};
  metrics::Sample s;
  s.name = "RequestTime";
  s.kind = metrics::Kind::Timer;
  s.unit = metrics::Milliseconds;
  s.value = 12.5;
  s.ts = 1'600'000'000'000'000'000;
  m.timers.push_back(s);
  s = {};
  s.ts = 1'600'000'000'000'001'000;
  s.name = "Failure";
  m.counters.push_back(s);
  s.name = "ClientError";
  m.counters.push_back(s);
  return m;
}

void statsdAggregate(benchmark::State& state) {
  auto lines = static_cast<int>(state.range(0));
  std::string text = packet(lines);
  agent::Aggregator a(agent::AggregatorOptions{});
  for (auto _ : state) a.add(1, text);
  state.SetItemsProcessed(state.iterations() * lines);
}
BENCHMARK(statsdAggregate)->Arg(1)->Arg(25);

// Fifty thousand series, each line another one: what a cache has to reach for.
void statsdAggregateMany(benchmark::State& state) {
  std::vector<std::string> packets;
  for (int i = 0, n = 0; i < 2000; ++i) {
    std::string text;
    for (int k = 0; k < 25; ++k, n = (n + 7919) % 50'000) {
      text +=
          "app.requests.handler" + std::to_string(n % 50) + ":1|c|#id:" + std::to_string(n) + "\n";
    }
    packets.push_back(std::move(text));
  }
  agent::Aggregator a(agent::AggregatorOptions{});
  std::size_t i = 0;
  for (auto _ : state) a.add(1, packets[i++ % packets.size()]);
  state.SetItemsProcessed(state.iterations() * 25);
}
BENCHMARK(statsdAggregateMany);

void statsdParse(benchmark::State& state) {
  std::string text = packet(25);
  agent::StatsdParser parser;
  agent::StatsdLine line;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.parse(
        text, line, [](const agent::StatsdLine&) {}, [](agent::StatsdBad, std::string_view) {}));
  }
  state.SetItemsProcessed(state.iterations() * 25);
}
BENCHMARK(statsdParse);

void influxLines(benchmark::State& state) {
  metrics::Metrics m = request();
  agent::LineWriter writer("");
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (const auto& s : m.counters) writer.append(out, m.dims, s);
    for (const auto& s : m.timers) writer.append(out, m.dims, s);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * 3);
}
BENCHMARK(influxLines);

void decodeKadabraJson(benchmark::State& state) {
  std::string text;
  metrics::appendWireJson(text, request(), 1'600'000'000'000'000'000);
  metrics::Metrics m;
  for (auto _ : state) benchmark::DoNotOptimize(metrics::parseWireJson(text, m).ok());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(decodeKadabraJson);

void decodeBinary(benchmark::State& state) {
  std::string bytes = metrics::encodeMetrics(request(), 0);
  metrics::Metrics m;
  for (auto _ : state) benchmark::DoNotOptimize(metrics::decodeMetrics(bytes, m).ok());
  state.SetItemsProcessed(state.iterations() * 3);
}
BENCHMARK(decodeBinary);

int openUdp(const char* target, bool bind_it) {
  bool path = std::strchr(target, '/') != nullptr;
  int fd = ::socket(path ? AF_UNIX : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (path) {
    auto& a = reinterpret_cast<sockaddr_un&>(storage);
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof a.sun_path, "%s", target);
    size = sizeof a;
  } else {
    auto& a = reinterpret_cast<sockaddr_in&>(storage);
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(std::atoi(target)));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof a;
  }
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  int r = bind_it ? ::bind(fd, address, size) : ::connect(fd, address, size);
  if (r != 0) std::perror("socket");
  return r == 0 ? fd : -1;
}

int blast(int argc, char** argv) {
  if (argc < 5) return 2;
  int fd = openUdp(argv[2], false);
  long packets = std::atol(argv[3]);
  std::string text = packet(std::atoi(argv[4]));
  double rate = argc > 5 ? std::atof(argv[5]) : 0;
  constexpr unsigned kBatch = 64;
  std::vector<iovec> vectors(kBatch, {text.data(), text.size()});
  std::vector<mmsghdr> messages(kBatch);
  for (unsigned i = 0; i < kBatch; ++i) {
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  auto begin = std::chrono::steady_clock::now();
  long sent = 0;
  while (sent < packets) {
    auto n = static_cast<unsigned>(std::min<long>(kBatch, packets - sent));
    int r = ::sendmmsg(fd, messages.data(), n, 0);
    if (r <= 0) break;
    sent += r;
    if (rate > 0) {
      std::this_thread::sleep_until(begin + std::chrono::nanoseconds(static_cast<long long>(
                                                static_cast<double>(sent) / rate * 1e9)));
    }
  }
  double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%ld %.6f\n", sent, s);
  return 0;
}

volatile sig_atomic_t g_stop = 0;

int sink(char** argv) {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  int fd = openUdp(argv[2], true);
  int want = 8 << 20;
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof want) != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof want);
  }
  constexpr unsigned kBatch = 64;
  std::vector<char> bytes(kBatch * 65536);
  std::vector<iovec> vectors(kBatch);
  std::vector<mmsghdr> messages(kBatch);
  for (unsigned i = 0; i < kBatch; ++i) {
    vectors[i] = {bytes.data() + i * 65536, 65536};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  long n = 0;
  while (!g_stop) {
    int r = ::recvmmsg(fd, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (r > 0) n += r;
  }
  std::printf("%ld\n", n);
  return 0;
}

int fill(int argc, char** argv) {
  if (argc < 5) return 2;
  metrics::spool::WriterOptions options;
  options.dir = argv[2];
  options.limits.max_bytes = 4ull << 30;
  options.limits.max_lane_bytes = 4ull << 30;
  options.limits.min_free = 0;
  auto& clock = metrics::StampClock::system();
  metrics::spool::SpoolWriter writer(options, clock);
  metrics::Metrics m = request();
  while (m.counters.size() + m.timers.size() < static_cast<std::size_t>(std::atoi(argv[4]))) {
    m.counters.push_back(m.counters.back());
    m.counters.back().name = "Extra" + std::to_string(m.counters.size());
  }
  auto n = static_cast<std::uint16_t>(m.sampleCount());
  long frames = std::atol(argv[3]);
  double rate = argc > 5 ? std::atof(argv[5]) : 0;
  auto begin = std::chrono::steady_clock::now();
  for (long i = 0; i < frames; ++i) {
    if (rate > 0 && i % 64 == 63) {
      std::this_thread::sleep_until(begin + std::chrono::nanoseconds(static_cast<long long>(
                                                static_cast<double>(i) / rate * 1e9)));
    }
    std::int64_t ts = clock.uniqueUs() * 1000;
    for (auto& s : m.counters) s.ts = ts;
    for (auto& s : m.timers) s.ts = ts;
    writer.append(metrics::spool::FrameType::kMetrics, n, metrics::encodeMetrics(m, 0), 0, true);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string command = argc > 1 ? argv[1] : "";
  if (command == "blast") return blast(argc, argv);
  if (command == "sink" && argc > 2) return sink(argv);
  if (command == "fill") return fill(argc, argv);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
