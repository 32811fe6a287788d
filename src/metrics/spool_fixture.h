#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "metrics/lane_reader.h"
#include "metrics/spool_writer.h"
#include "metrics/test_dir.h"

namespace godwit::metrics::spool {

namespace fs = std::filesystem;

// Tests of the spool: a directory, a writer's options, and a reader that adds up what it sees.
class Spool : public ::testing::Test {
 protected:
  WriterOptions options(DropPolicy policy = DropPolicy::kDropOldest) {
    WriterOptions o;
    o.dir = dir_.path() + "/spool";
    o.segment_size = kMinSegmentSize;
    o.limits.min_free = 0;
    o.policy = policy;
    o.helper_thread = false;
    return o;
  }
  std::string lane(std::size_t i = 0) {
    const auto lanes = listLanes(dir_.path() + "/spool");
    return i < lanes.size() ? dir_.path() + "/spool/lanes/" + lanes[i] : "";
  }
  struct Seen {
    std::uint64_t frames = 0, samples = 0, first = 0, last = 0;
    std::uint64_t gap_frames = 0, gap_samples = 0, gaps = 0, corrupt_bytes = 0;
    bool exact = true;
    std::vector<DropNote> notes;
    std::map<std::uint64_t, std::string> payloads;
  };
  static Seen readAll(LaneReader& r, bool keep = false) {
    Seen s;
    FrameView f;
    Gap g;
    for (;;) {
      switch (r.next(f, g)) {
        case ReadStatus::kEnd:
          return s;
        case ReadStatus::kGap:
          ++s.gaps;
          s.gap_frames += g.frames();
          s.gap_samples += g.samples;
          s.corrupt_bytes += g.corrupt_bytes;
          s.exact = s.exact && g.samples_exact;
          break;
        case ReadStatus::kFrame:
          if (s.first == 0) s.first = f.seq;
          EXPECT_GT(f.seq, s.last);
          s.last = f.seq;
          ++s.frames;
          s.samples += f.n_samples;
          if (f.type == FrameType::kDropNote && f.payload.size() == sizeof(DropNote)) {
            std::memcpy(&s.notes.emplace_back(), f.payload.data(), sizeof(DropNote));
          }
          if (keep) s.payloads[f.seq] = f.payload;
      }
    }
  }
  static Seen readLane(const std::string& dir, Position from = {}) {
    auto r = LaneReader::open(dir, from);
    EXPECT_TRUE(r.ok()) << (r.ok() ? "" : r.error().message);
    return r.ok() ? readAll(*r) : Seen{};
  }

  TestDir dir_;
  StampClock& clock_ = StampClock::system();
};

}  // namespace godwit::metrics::spool
