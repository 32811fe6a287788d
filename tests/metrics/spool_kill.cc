// usage: spool_kill ROUNDS   A process appends from two threads and is killed at a random moment,
// ROUNDS times. In every other round this process plays the agent meanwhile: it reads along and
// gives segments back for reuse. Everything the process had been told is safe must be read, in
// order, and nothing else. Exit status 1 and a line when it is not.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "metrics/lane_reader.h"
#include "metrics/spool_writer.h"
#include "metrics/test_dir.h"

namespace {

using namespace godwit::metrics;
namespace fs = std::filesystem;

constexpr int kThreads = 2;
// Then a thread waits for its end: a round must stay far below the lane's bound.
constexpr std::uint64_t kMost = 100'000;

struct Shared {
  std::atomic<std::uint64_t> acked[kThreads];
};

struct Head {
  std::uint64_t n;
  std::uint32_t thread;
  std::uint32_t fill;
};

[[noreturn]] void produce(const std::string& dir, Shared& shared, unsigned seed) {
  spool::WriterOptions o;
  o.dir = dir;
  o.limits.min_free = 0;
  o.segment_size = 2 * spool::kMinSegmentSize;  // many rolls
  spool::SpoolWriter writer(o, StampClock::system());
  std::thread threads[kThreads];
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads[t] = std::thread([&, t] {
      std::minstd_rand rng(seed + t);
      char payload[600];
      for (Head h{1, t, 0};; ++h.n) {
        h.fill = static_cast<std::uint32_t>(rng());
        const std::size_t size = sizeof h + h.fill % (sizeof payload - sizeof h);
        std::memset(payload, static_cast<int>(h.fill & 0xff), size);
        std::memcpy(payload, &h, sizeof h);
        if (writer.append(spool::FrameType::kStatsd, 1, {payload, size}) !=
            spool::AppendStatus::kSpooled) {
          std::_Exit(3);
        }
        shared.acked[t].store(h.n, std::memory_order_release);
        if (h.n == kMost) ::pause();
      }
    });
  }
  threads[0].join();
  std::_Exit(3);
}

struct Totals {
  std::uint64_t frames = 0, acked = 0, lost = 0, bad = 0, recycled = 0;
};

class Check {
 public:
  explicit Check(Totals& totals) : totals_(totals) {}

  // Everything there is now.
  void read(spool::LaneReader& reader) {
    spool::FrameView f;
    spool::Gap g;
    for (;;) {
      switch (reader.next(f, g)) {
        case spool::ReadStatus::kEnd:
          return;
        case spool::ReadStatus::kGap:
          ++totals_.bad;
          break;
        case spool::ReadStatus::kFrame:
          frame(f.payload);
      }
    }
  }
  std::uint64_t last(int t) const { return last_[t]; }

 private:
  void frame(std::string_view p) {
    ++totals_.frames;
    Head h{};
    if (p.size() < sizeof h) {
      ++totals_.bad;
      return;
    }
    std::memcpy(&h, p.data(), sizeof h);
    bool good = h.thread < kThreads && h.n == last_[h.thread] + 1;
    for (const char c : p.substr(sizeof h)) good = good && c == static_cast<char>(h.fill & 0xff);
    if (!good) ++totals_.bad;
    if (h.thread < kThreads) last_[h.thread] = h.n;
  }

  Totals& totals_;
  std::uint64_t last_[kThreads] = {};
};

void giveBack(const spool::LaneReader& reader, Totals& totals) {
  std::error_code ignored;
  fs::create_directory(reader.dir() + "/free", ignored);
  for (const auto n : spool::listSegments(reader.dir())) {
    if (n + 1 >= reader.position().seg) return;
    if (spool::listSegments(reader.dir() + "/free").size() >= spool::kMaxFreeSegments) {
      fs::remove(reader.dir() + "/" + spool::segmentName(n), ignored);
      continue;
    }
    fs::rename(reader.dir() + "/" + spool::segmentName(n),
               reader.dir() + "/free/" + spool::segmentName(n), ignored);
    if (!ignored) ++totals.recycled;
  }
}

bool round(int number, Shared& shared, Totals& totals) {
  const TestDir dir;
  for (auto& a : shared.acked) a.store(0);
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) produce(dir.path(), shared, static_cast<unsigned>(number));

  std::minstd_rand rng(static_cast<unsigned>(number) * 7919U + 1);
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::microseconds(500 + rng() % (number % 2 ? 60'000 : 30'000));
  Check check(totals);
  std::optional<spool::LaneReader> reader;
  const auto find = [&] {
    const auto lanes = spool::listLanes(dir.path());
    if (reader || lanes.empty()) return;
    auto opened = spool::LaneReader::open(dir.path() + "/lanes/" + lanes[0]);
    if (opened.ok()) reader = std::move(*opened);
  };
  while (std::chrono::steady_clock::now() < end) {
    if (number % 2) {
      find();
      if (reader) {
        check.read(*reader);
        giveBack(*reader, totals);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFSIGNALED(status)) {
    std::printf("round %d: the producer ended by itself: %d\n", number, status);
    return false;
  }
  find();
  const std::uint64_t lost_before = totals.lost;
  if (reader) {
    if (!reader->dead()) {
      std::printf("round %d: the lane of a dead process looks alive\n", number);
      return false;
    }
    check.read(*reader);
  }
  for (int t = 0; t < kThreads; ++t) {
    const std::uint64_t acked = shared.acked[t].load(std::memory_order_acquire);
    totals.acked += acked;
    if (check.last(t) < acked) totals.lost += acked - check.last(t);
  }
  if (totals.lost != lost_before || totals.bad != 0) {
    std::printf("round %d: lost %llu, bad %llu\n", number,
                static_cast<unsigned long long>(totals.lost),
                static_cast<unsigned long long>(totals.bad));
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 60;
  void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return 2;
  auto* shared = new (map) Shared;
  Totals totals;
  for (int i = 0; i < rounds; ++i) {
    if (!round(i, *shared, totals)) return 1;
  }
  std::printf(
      "rounds %d, frames read %llu, acknowledged %llu, lost 0, bad 0, segments reused %llu\n",
      rounds, static_cast<unsigned long long>(totals.frames),
      static_cast<unsigned long long>(totals.acked),
      static_cast<unsigned long long>(totals.recycled));
  return totals.acked > 0 ? 0 : 1;
}
