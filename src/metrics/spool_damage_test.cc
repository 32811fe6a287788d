#include <fcntl.h>

#include <fstream>
#include <random>

#include "base/unique_fd.h"
#include "metrics/spool_fixture.h"

namespace godwit::metrics::spool {
namespace {

TEST_F(Spool, a_missing_segment_is_a_gap_of_exactly_its_frames_and_samples) {
  std::vector<std::uint64_t> bases;
  {
    SpoolWriter w(options(), clock_);
    for (int i = 0; i < 20'000; ++i) w.append(FrameType::kStatsd, 2, std::string(200, 'x'));
  }
  const auto segments = listSegments(lane());
  ASSERT_GE(segments.size(), 4u);
  const UniqueFd second(::open((lane() + "/" + segmentName(segments[1])).c_str(), O_RDONLY));
  const UniqueFd fourth(::open((lane() + "/" + segmentName(segments[3])).c_str(), O_RDONLY));
  const auto lost = readSegmentInfo(fourth.get()).base_seq - readSegmentInfo(second.get()).base_seq;
  fs::remove(lane() + "/" + segmentName(segments[1]));
  fs::remove(lane() + "/" + segmentName(segments[2]));
  Seen s = readLane(lane());
  EXPECT_EQ(s.gaps, 1u);
  EXPECT_EQ(s.gap_frames, lost);
  EXPECT_EQ(s.gap_samples, lost * 2);
  EXPECT_TRUE(s.exact);
  EXPECT_EQ(s.frames + lost, 20'000u);
  // The first one, too: the lane begins with frame 1.
  fs::remove(lane() + "/" + segmentName(segments[0]));
  s = readLane(lane());
  EXPECT_EQ(s.frames + s.gap_frames, 20'000u);
  EXPECT_EQ(s.samples + s.gap_samples, 40'000u);
  const Position oldest = LaneReader::oldest(lane());
  EXPECT_EQ(oldest.seq + 1, readSegmentInfo(fourth.get()).base_seq);
  EXPECT_EQ(readLane(lane(), oldest).gaps, 0u);
  // And the last one: only the lane file knows now.
  for (const auto n : listSegments(lane())) fs::remove(lane() + "/" + segmentName(n));
  s = readLane(lane());
  EXPECT_EQ(s.gap_frames, 20'000u);
  EXPECT_EQ(s.gap_samples, 40'000u);
}

TEST_F(Spool, freed_segments_are_reused_and_old_bytes_never_show) {
  auto o = options();
  SpoolWriter w(o, clock_);
  auto append = [&](int n) {
    for (int i = 0; i < n; ++i) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  };
  append(1);
  auto r = LaneReader::open(lane());
  fs::create_directory(lane() + "/free");
  std::uint64_t frames = 0;
  for (int round = 0; round < 20; ++round) {
    append(900);
    const Seen s = readAll(*r);
    EXPECT_EQ(s.gaps, 0u);
    frames += s.frames;
    for (const auto n : listSegments(lane())) {
      if (n < r->position().seg) {
        fs::rename(lane() + "/" + segmentName(n), lane() + "/free/" + segmentName(n));
      }
    }
  }
  EXPECT_EQ(frames, 18'001u);
  EXPECT_GT(w.stats().segments_recycled, 10u);
  EXPECT_LE(w.stats().segments_fresh, 4u);
}

TEST_F(Spool, a_segment_reused_under_a_slow_reader_is_a_gap_and_no_damage) {
  SpoolWriter w(options(), clock_);
  auto append = [&](int n) {
    for (int i = 0; i < n; ++i) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  };
  append(500);
  auto slow = LaneReader::open(lane());
  FrameView f;
  Gap g;
  ASSERT_EQ(slow->next(f, g), ReadStatus::kFrame);
  append(1000);
  fs::create_directory(lane() + "/free");
  fs::rename(lane() + "/00000001.seg", lane() + "/free/00000001.seg");
  append(1500);
  ASSERT_GT(w.stats().segments_recycled, 0u);
  const Seen s = readAll(*slow);
  EXPECT_EQ(s.frames + s.gap_frames, 2999u);
  EXPECT_EQ(s.corrupt_bytes, 0u);
  EXPECT_EQ(s.samples + s.gap_samples, 2999u);
}

TEST_F(Spool, torn_sectors_cost_exactly_the_frames_they_held) {
  std::mt19937 rng(11);
  {
    SpoolWriter w(options(), clock_);
    for (std::uint32_t i = 1; i <= 9000; ++i) {
      std::string p(20 + rng() % 800, '\0');
      for (std::size_t k = 0; k + 4 <= p.size(); k += 4) std::memcpy(p.data() + k, &i, 4);
      w.append(FrameType::kStatsd, static_cast<std::uint16_t>(i % 4), p);
    }
  }
  const std::string good = lane();
  for (int round = 0; round < 150; ++round) {
    const std::string bad = dir_.path() + "/bad";
    fs::remove_all(bad);
    fs::copy(good, bad);
    for (auto hits = 1 + rng() % 6; hits > 0; --hits) {
      const auto segments = listSegments(bad);
      if (segments.empty()) break;
      const std::string file = rng() % 12 == 0
                                   ? bad + "/lane"
                                   : bad + "/" + segmentName(segments[rng() % segments.size()]);
      const auto size = fs::file_size(file);
      if (size < 512) continue;
      const auto sector = static_cast<std::streamoff>(rng() % (size / 512) * 512);
      const auto kind = rng() % 8;
      if (kind == 0) {
        fs::resize_file(file, static_cast<std::uintmax_t>(sector));
      } else {
        std::string bytes(512, '\0');
        if (kind < 5) {
          for (char& c : bytes) c = static_cast<char>(rng());
        }
        std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(sector);
        f.write(bytes.data(), 512);
      }
    }
    auto r = LaneReader::open(bad);
    if (!r.ok()) continue;  // lane file and every segment header hit
    const bool account = r->account().sound;
    const Seen s = readAll(*r, true);
    for (const auto& [seq, payload] : s.payloads) {
      std::uint32_t first = 0;
      std::memcpy(&first, payload.data(), 4);
      ASSERT_EQ(first, seq);
    }
    if (account) {
      ASSERT_EQ(s.frames + s.gap_frames, 9000u) << round;
      ASSERT_EQ(s.samples + s.gap_samples, 13'500u) << round;
    } else {
      ASSERT_LE(s.frames + s.gap_frames, 9000u) << round;
    }
  }
}

TEST_F(Spool, a_zeroed_frame_in_a_living_lane_is_passed) {
  SpoolWriter w(options(), clock_);
  for (int i = 0; i < 100; ++i) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  {
    std::fstream f(lane() + "/00000001.seg", std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(128 + 50 * 1032);
    f.write(std::string(600, '\0').data(), 600);
  }
  const Seen s = readLane(lane());
  EXPECT_EQ(s.frames, 99u);
  EXPECT_EQ(s.gap_frames, 1u);
  EXPECT_EQ(s.corrupt_bytes, 1032u);
}

}  // namespace
}  // namespace godwit::metrics::spool
