// fuzz-links: metrics base
// The input is laid over a lane that was written properly: a sequence of (u24 where, u8 length,
// bytes). Reading must end, must not give back anything that was not written, and must account for
// every frame as long as the lane file is sound. Its own payload also goes to the payload codecs.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "metrics/lane_reader.h"
#include "metrics/metrics_binary.h"
#include "metrics/sketch.h"
#include "metrics/spool_writer.h"
#include "metrics/test_dir.h"

namespace {

using namespace godwit;
using namespace godwit::metrics;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Lane {
  TestDir dir;
  std::string path;
  std::string segment;  // file content, cut after the last frame
  std::string lane_file;
  std::map<std::uint64_t, std::string> payloads;

  Lane() {
    {
      spool::WriterOptions o;
      o.dir = dir.path();
      o.segment_size = spool::kMinSegmentSize;
      o.helper_thread = false;
      o.limits.min_free = 0;
      spool::SpoolWriter w(o, StampClock::system());
      for (std::uint64_t i = 1; i <= 60; ++i) {
        std::string p(8 + i * 7 % 90, static_cast<char>('a' + i % 26));
        w.append(spool::FrameType::kStatsd, 1, p);
        payloads[i] = std::move(p);
      }
    }
    path = dir.path() + "/lanes/" + spool::listLanes(dir.path()).at(0);
    segment = slurp(path + "/00000001.seg");
    lane_file = slurp(path + "/lane");
  }
  static std::string slurp(const std::string& file) {
    std::string out(std::filesystem::file_size(file), '\0');
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    require(spool::preadAll(fd.get(), out.data(), out.size(), 0));
    return out;
  }
  // Truncating first would make some file systems write the file out at once.
  static void put(const std::string& file, const std::string& bytes) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    require(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    require(::ftruncate(fd.get(), static_cast<off_t>(bytes.size())) == 0);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Lane lane;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  Metrics decoded;
  if (decodeMetrics(all, decoded).ok()) {
    Metrics again;
    const std::string bytes = encodeMetrics(decoded);
    require(decodeMetrics(bytes, again).ok() && encodeMetrics(again) == bytes);
  }
  if (const auto sketch = Sketch::parse(all))
    require(sketch->quantile(0.5) == sketch->quantile(0.5));

  std::string segment = lane.segment;
  std::string lane_file = lane.lane_file;
  for (std::size_t at = 0; at + 4 < size;) {
    std::uint32_t head = 0;
    std::memcpy(&head, data + at, 4);
    at += 4;
    const std::size_t n = std::min<std::size_t>(head >> 24, size - at);
    std::size_t where = head & 0xffffff;
    std::string& target = where % 16 == 15 ? lane_file : segment;
    where = where / 16 % target.size();
    if (n == 0) target.resize(where + 1);
    for (std::size_t i = 0; i < n && where + i < target.size(); ++i) {
      target[where + i] = static_cast<char>(data[at + i]);
    }
    at += n;
  }
  Lane::put(lane.path + "/00000001.seg", segment);
  Lane::put(lane.path + "/lane", lane_file);

  auto reader = spool::LaneReader::open(lane.path);
  if (!reader.ok()) return 0;
  const auto account = reader->account();
  spool::FrameView f;
  spool::Gap g;
  std::uint64_t frames = 0;
  std::uint64_t missing = 0;
  for (int steps = 0;; ++steps) {
    require(steps < 10'000);
    const auto status = reader->next(f, g);
    if (status == spool::ReadStatus::kEnd) break;
    if (status == spool::ReadStatus::kGap) {
      missing += g.frames();
      continue;
    }
    ++frames;
    require(lane.payloads.contains(f.seq) && lane.payloads.at(f.seq) == f.payload);
  }
  if (account.sound && account.frames == 60 && account.lane_id == reader->id()) {
    require(frames + missing == 60);
  }
  return 0;
}
