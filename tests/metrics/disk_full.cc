// usage: disk_full DIR   Appends to a spool on a small file system until long after it is full,
// under every policy, then compares what was told with what can be read. Exit status 1 and a line
// when the two differ.
#include <sys/statvfs.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "metrics/lane_reader.h"
#include "metrics/spool_writer.h"

namespace {

using namespace godwit::metrics;
namespace fs = std::filesystem;

bool check(bool holds, const char* what) {
  if (!holds) std::printf("not so: %s\n", what);
  return holds;
}

struct Read {
  std::uint64_t samples = 0, gap_samples = 0;
};

Read readAll(const std::string& dir) {
  Read r;
  for (const auto& name : spool::listLanes(dir)) {
    auto reader = spool::LaneReader::open(dir + "/lanes/" + name);
    if (!reader.ok()) continue;
    spool::FrameView f;
    spool::Gap g;
    for (;;) {
      const auto s = reader->next(f, g);
      if (s == spool::ReadStatus::kEnd) break;
      (s == spool::ReadStatus::kFrame ? r.samples : r.gap_samples) +=
          s == spool::ReadStatus::kFrame ? f.n_samples : g.samples;
    }
  }
  return r;
}

bool run(const std::string& dir, spool::DropPolicy policy, bool filler, bool helper) {
  spool::WriterOptions o;
  o.dir = dir + "/spool";
  o.limits.min_free = 0;
  o.segment_size = 4 * spool::kMinSegmentSize;
  o.policy = policy;
  o.block_timeout = std::chrono::milliseconds(1);
  o.helper_thread = helper;
  std::uint64_t kept = 0;
  std::uint64_t refused = 0;
  std::uint64_t dropped = 0;
  constexpr std::uint64_t kAppends = 60'000;
  {
    spool::SpoolWriter w(o, StampClock::system());
    const std::string payload(1000, 'x');
    const std::uint64_t appends = policy == spool::DropPolicy::kBlock ? 6'000 : kAppends;
    for (std::uint64_t i = 0; i < appends; ++i) {
      if (i == 1000 && filler) {
        // Somebody else fills the disk to the last byte while we have it mapped.
        std::ofstream f(dir + "/filler", std::ios::binary);
        const std::string block(4096, 'f');
        while (f.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
        }
      }
      const auto s = w.append(spool::FrameType::kStatsd, 1, payload);
      ++(s == spool::AppendStatus::kSpooled ? kept : refused);
    }
    const auto stats = w.stats();
    for (const auto n : stats.dropped_samples) dropped += n;
    const std::uint64_t waiting = stats.buffered_frames;
    if (!check(stats.samples + refused - waiting == appends || waiting > 0, "all accounted")) {
      return false;
    }
  }
  const Read r = readAll(o.dir);
  std::printf("policy %d filler %d: kept %llu, refused %llu, read %llu, gap %llu, dropped %llu\n",
              static_cast<int>(policy), filler, static_cast<unsigned long long>(kept),
              static_cast<unsigned long long>(refused), static_cast<unsigned long long>(r.samples),
              static_cast<unsigned long long>(r.gap_samples),
              static_cast<unsigned long long>(dropped));
  bool good = check(r.samples + r.gap_samples == kept, "read + gap == kept");
  good = check(dropped == refused + r.gap_samples, "dropped == refused + gap") && good;
  good = check(r.samples > 0 && dropped > 0, "something was kept and something dropped") && good;
  fs::remove_all(o.dir);
  fs::remove(dir + "/filler");
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string dir = argv[1];
  struct statvfs fs_now {};
  if (::statvfs(dir.c_str(), &fs_now) != 0 ||
      fs_now.f_blocks * fs_now.f_frsize > (std::uint64_t{64} << 20)) {
    std::printf("%s is not a small file system\n", dir.c_str());
    return 2;
  }
  bool good = true;
  for (const auto policy : {spool::DropPolicy::kDropOldest, spool::DropPolicy::kDropNewest,
                            spool::DropPolicy::kBlock}) {
    for (const bool filler : {false, true}) {
      if (policy == spool::DropPolicy::kBlock && !filler) continue;
      good = run(dir, policy, filler, filler) && good;
    }
  }
  return good ? 0 : 1;
}
