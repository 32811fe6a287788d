#include <cstdio>
#include <fstream>
#include <thread>

#include "metrics/cursor_file.h"
#include "metrics/spool_fixture.h"
#include "metrics/spool_room.h"

namespace godwit::metrics::spool {
namespace {

TEST_F(Spool, drop_oldest_keeps_the_newest_and_leaves_an_exact_note) {
  auto o = options();
  o.limits.max_lane_bytes = 3 * kMinSegmentSize;
  SpoolWriter w(o, clock_);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(w.append(FrameType::kStatsd, 2, std::string(968, 'x')), AppendStatus::kSpooled);
  }
  const Seen s = readLane(lane());
  EXPECT_EQ(s.gaps, 1u);
  EXPECT_GT(s.gap_frames, 10'000u);
  EXPECT_EQ(s.samples + s.gap_samples, 40'000u);
  std::uint64_t noted = 0;
  for (const DropNote& n : s.notes) noted += n.samples;
  EXPECT_GT(noted, 0u);
  const auto i = static_cast<std::size_t>(DropReason::kSpoolFull);
  EXPECT_EQ(w.stats().dropped_samples[i], s.gap_samples);
  EXPECT_LE(w.stats().lane_bytes, o.limits.max_lane_bytes);
}

TEST_F(Spool, what_every_cursor_has_is_no_loss_when_it_goes) {
  auto o = options();
  o.limits.max_lane_bytes = 3 * kMinSegmentSize;
  SpoolWriter w(o, clock_);
  w.append(FrameType::kStatsd, 1, "x");
  auto r = LaneReader::open(lane());
  auto a = CursorFile::open(dir_.path() + "/spool/cursors/a");
  auto b = CursorFile::open(dir_.path() + "/spool/cursors/b");
  ASSERT_TRUE(a.ok() && b.ok());
  for (int i = 0; i < 20; ++i) {
    for (int k = 0; k < 500; ++k) w.append(FrameType::kStatsd, 1, std::string(968, 'x'));
    EXPECT_EQ(readAll(*r).gaps, 0u);
    const Position p = r->position();
    const std::vector<CursorEntry> all{
        {r->id(), p.seq, static_cast<std::uint32_t>(p.seg), static_cast<std::uint32_t>(p.off)}};
    ASSERT_TRUE(a->store(all, false).ok());
    ASSERT_TRUE(b->store(all, false).ok());
  }
  const auto i = static_cast<std::size_t>(DropReason::kSpoolFull);
  EXPECT_GT(w.stats().segments_dropped, 3u);
  EXPECT_EQ(w.stats().dropped_frames[i], 0u);
}

TEST_F(Spool, drop_newest_refuses_counts_and_says_so_when_there_is_room) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  auto o = options(DropPolicy::kDropNewest);
  o.limits.max_lane_bytes = 2 * kMinSegmentSize;
  SpoolWriter w(o, clock);
  std::uint64_t kept = 0;
  std::uint64_t dropped = 0;
  for (int i = 0; i < 5000; ++i) {
    const auto s = w.append(FrameType::kStatsd, 3, std::string(968, 'x'));
    (s == AppendStatus::kSpooled ? kept : dropped) += 3;
  }
  EXPECT_GT(dropped, 0u);
  const auto i = static_cast<std::size_t>(DropReason::kSpoolFull);
  EXPECT_EQ(w.stats().dropped_samples[i], dropped);
  fs::remove(lane() + "/00000001.seg");
  mono.advanceNs(1'000'000'000);
  wall.advanceNs(1'000'000'000);
  EXPECT_EQ(w.append(FrameType::kStatsd, 1, std::string(968, 'y')), AppendStatus::kSpooled);
  const Seen s = readLane(lane());
  ASSERT_EQ(s.notes.size(), 1u);
  EXPECT_EQ(s.notes[0].samples, dropped);
  EXPECT_EQ(s.notes[0].reason, DropReason::kSpoolFull);
  EXPECT_EQ(s.notes[0].first_seq, 0u);
  EXPECT_EQ(s.samples + s.gap_samples, kept + 1);
}

TEST_F(Spool, block_waits_for_room_and_no_longer_than_told) {
  auto o = options(DropPolicy::kBlock);
  o.limits.max_lane_bytes = kMinSegmentSize;
  o.block_timeout = std::chrono::milliseconds(10);
  SpoolWriter w(o, clock_);
  int kept = 0;
  while (w.append(FrameType::kStatsd, 1, std::string(60'000, 'x')) == AppendStatus::kSpooled) {
    ++kept;
  }
  EXPECT_GT(kept, 10);
  const auto i = static_cast<std::size_t>(DropReason::kSpoolFull);
  EXPECT_EQ(w.stats().dropped_frames[i], 1u);
}

TEST_F(Spool, the_budget_of_all_lanes_holds_and_new_lanes_are_still_heard) {
  auto o = options(DropPolicy::kDropNewest);
  o.limits.max_bytes = 8 * kMinSegmentSize;
  SpoolWriter hog(o, clock_);
  while (hog.append(FrameType::kStatsd, 1, std::string(60'000, 'x')) == AppendStatus::kSpooled) {
  }
  SpoolWriter late(o, clock_);
  EXPECT_EQ(late.append(FrameType::kStatsd, 1, "x"), AppendStatus::kSpooled);
  EXPECT_LE(spoolBytes(o.dir), o.limits.max_bytes + 64 * 1024);
  SpoolWriter later(o, clock_);
  EXPECT_EQ(later.append(FrameType::kStatsd, 1, "x"), AppendStatus::kBuffered);
  EXPECT_EQ(later.stats().spool_unavailable, 1u);
}

TEST_F(Spool, without_an_agent_the_oldest_dead_lanes_make_room) {
  auto o = options(DropPolicy::kDropNewest);
  o.limits.max_bytes = 8 * kMinSegmentSize;
  for (int i = 0; i < 7; ++i) {
    SpoolWriter w(o, clock_);
    for (int k = 0; k < 900; ++k) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  }
  const auto before = listLanes(o.dir);
  // Writers are not more than one scan apart in real life.
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  SpoolWriter w(o, clock_);
  for (int k = 0; k < 3000; ++k) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  EXPECT_LT(listLanes(o.dir).size(), before.size() + 1);
  auto spool = SpoolDir::open(o.dir);
  const auto i = static_cast<std::size_t>(DropReason::kSpoolFull);
  EXPECT_GE((*spool)->budget().dropped_frames[i].load(), 900u);
  EXPECT_LE(spoolBytes(o.dir), o.limits.max_bytes + 64 * 1024);
}

TEST_F(Spool, without_a_usable_directory_the_ring_holds_and_delivers_later) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  auto o = options();
  std::ofstream(dir_.path() + "/spool") << "a file is in the way";
  o.ring_bytes = 10'000;
  SpoolWriter w(o, clock);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(w.append(FrameType::kStatsd, 1, std::to_string(i)), AppendStatus::kBuffered);
  }
  EXPECT_EQ(w.stats().spool_unavailable, 1u);
  EXPECT_FALSE(w.stats().last_error.empty());
  fs::remove(dir_.path() + "/spool");
  EXPECT_EQ(w.append(FrameType::kStatsd, 1, "early"), AppendStatus::kBuffered);
  mono.advanceNs(6'000'000'000);
  EXPECT_EQ(w.append(FrameType::kStatsd, 1, "on time"), AppendStatus::kSpooled);
  auto r = LaneReader::open(lane());
  const Seen s = readAll(*r, true);
  EXPECT_EQ(s.frames, 12u);
  EXPECT_EQ(s.payloads.at(1), "0");
  EXPECT_EQ(s.payloads.at(12), "on time");
}

TEST_F(Spool, the_ring_is_bounded_and_counts_what_it_drops) {
  auto o = options();
  o.dir = "/proc/nowhere";
  o.ring_bytes = 1000;
  SpoolWriter w(o, clock_);
  for (int i = 0; i < 100; ++i) w.append(FrameType::kStatsd, 2, "0123456789");
  const auto stats = w.stats();
  const auto i = static_cast<std::size_t>(DropReason::kUnavailable);
  EXPECT_LE(stats.buffered_bytes, 1000u);
  EXPECT_EQ(stats.dropped_frames[i] + stats.buffered_frames, 100u);
  EXPECT_EQ(stats.dropped_samples[i], 2 * stats.dropped_frames[i]);
}

TEST_F(Spool, an_oversized_frame_is_refused_and_counted) {
  SpoolWriter w(options(), clock_);
  EXPECT_EQ(w.append(FrameType::kStatsd, 9, std::string(2'000'000, 'x')), AppendStatus::kDropped);
  EXPECT_EQ(w.append(FrameType::kStatsd, 9, ""), AppendStatus::kDropped);
  EXPECT_EQ(w.stats().dropped_samples[static_cast<std::size_t>(DropReason::kOversize)], 18u);
}

TEST_F(Spool, a_directory_that_vanishes_costs_no_crash_and_a_new_lane_is_made) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  SpoolWriter w(options(), clock);
  w.append(FrameType::kStatsd, 1, "x");
  fs::remove_all(dir_.path() + "/spool");
  for (int i = 0; i < 2000; ++i) w.append(FrameType::kStatsd, 1, std::string(1000, 'x'));
  EXPECT_GT(w.stats().buffered_frames, 0u);
  mono.advanceNs(6'000'000'000);
  EXPECT_EQ(w.append(FrameType::kStatsd, 1, "y"), AppendStatus::kSpooled);
  EXPECT_FALSE(lane().empty());
}

TEST_F(Spool, when_all_slots_are_taken_the_last_one_is_shared) {
  auto spool = SpoolDir::open(dir_.path() + "/spool");
  ASSERT_TRUE(spool.ok());
  for (int i = 0; i < 998; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "/spool/lanes/%03d-x", i);
    fs::create_directory(dir_.path() + name);
  }
  auto one = (*spool)->createLane(kMinSegmentSize, 1);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->header->slot, 998u);
  for (int i = 0; i < 2; ++i) {
    auto more = (*spool)->createLane(kMinSegmentSize, 1);
    ASSERT_TRUE(more.ok());
    EXPECT_EQ(more->header->slot, 999u);
  }
}

TEST_F(Spool, a_ring_that_meets_a_full_lane_counts_each_loss_once) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  auto o = options(DropPolicy::kDropNewest);
  o.limits.max_lane_bytes = kMinSegmentSize;
  o.ring_bytes = 1'200'000;
  std::ofstream(dir_.path() + "/spool") << "in the way";
  SpoolWriter w(o, clock);
  for (int i = 0; i < 30; ++i) w.append(FrameType::kStatsd, 1, std::string(100'000, 'x'));
  EXPECT_EQ(w.stats().buffered_frames, 11u);
  fs::remove(dir_.path() + "/spool");
  mono.advanceNs(6'000'000'000);
  for (int i = 0; i < 30; ++i) w.append(FrameType::kStatsd, 1, std::string(100'000, 'x'));
  const auto s = w.stats();
  std::uint64_t dropped = 0;
  for (const auto n : s.dropped_frames) dropped += n;
  EXPECT_EQ(readLane(lane()).samples + s.buffered_frames + dropped, 60u);
}

}  // namespace
}  // namespace godwit::metrics::spool
