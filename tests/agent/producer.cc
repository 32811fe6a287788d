// A program that measures: appends one counter per frame to the spool as fast as it may, and writes
// the number of the last acknowledged one to a shared file, so that whoever kills it knows what had
// been accepted. The values are 0, 1, 2 ...: a database that holds each of them once holds exactly
// what was measured.  usage: producer SPOOL LEDGER NAME RATE [COUNT [MAX_BYTES]]
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "metrics/metrics_binary.h"
#include "metrics/spool_writer.h"

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  using namespace godwit::metrics;
  int fd = ::open(argv[2], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ::ftruncate(fd, 4096) != 0) return 3;
  void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return 3;
  auto* acked = static_cast<std::atomic<std::uint64_t>*>(map);  // [0] spooled, [1] dropped
  spool::WriterOptions options;
  options.dir = argv[1];
  options.limits.min_free = 0;
  if (argc > 6) {
    options.limits.max_bytes = std::strtoull(argv[6], nullptr, 10);
    options.limits.max_lane_bytes = options.limits.max_bytes;
  }
  auto rate = std::strtoull(argv[4], nullptr, 10);
  auto count = argc > 5 ? std::strtoull(argv[5], nullptr, 10) : ~0ULL;
  StampClock& clock = StampClock::system();
  spool::SpoolWriter writer(options, clock);
  auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < count; ++i) {
    Metrics m;
    m.dims.emplace_back("pid", std::to_string(::getpid()));
    Sample s;
    s.name = argv[3];
    s.value = static_cast<double>(i);
    s.ts = clock.uniqueUs() * 1000;
    m.counters.push_back(std::move(s));
    auto status = writer.append(spool::FrameType::kMetrics, 1, encodeMetrics(m), 0, true);
    // Counted after the append: a kill in between leaves one frame more than the ledger knows.
    acked[status == spool::AppendStatus::kSpooled ? 0 : 1].fetch_add(1);
    if (rate > 0 && i % 64 == 63) {
      std::this_thread::sleep_until(begin +
                                    std::chrono::nanoseconds((i + 1) * 1'000'000'000 / rate));
    }
  }
  return 0;
}
