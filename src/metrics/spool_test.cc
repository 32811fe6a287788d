#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "metrics/cursor_file.h"
#include "metrics/lane_reader.h"
#include "metrics/spool_room.h"
#include "metrics/spool_writer.h"
#include "metrics/test_dir.h"

namespace godwit::metrics::spool {
namespace {

namespace fs = std::filesystem;

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

TEST_F(Spool, what_is_appended_can_be_read_at_once) {
  SpoolWriter w(options(), clock_);
  EXPECT_EQ(w.append(FrameType::kStatsd, 3, "a:1|c", 7), AppendStatus::kSpooled);
  auto r = LaneReader::open(lane());
  ASSERT_TRUE(r.ok());
  FrameView f;
  Gap g;
  ASSERT_EQ(r->next(f, g), ReadStatus::kFrame);
  EXPECT_EQ(f.payload, "a:1|c");
  EXPECT_EQ(f.seq, 1u);
  EXPECT_EQ(f.n_samples, 3);
  EXPECT_EQ(f.source, 7u);
  EXPECT_EQ(f.type, FrameType::kStatsd);
  EXPECT_EQ(r->next(f, g), ReadStatus::kEnd);
  EXPECT_FALSE(r->dead());
  w.append(FrameType::kStatsd, 1, "b:2|c");
  ASSERT_EQ(r->next(f, g), ReadStatus::kFrame);
  EXPECT_EQ(f.payload, "b:2|c");
  EXPECT_EQ(r->next(f, g), ReadStatus::kEnd);
}

TEST_F(Spool, a_closed_lane_is_dead_sealed_and_small) {
  {
    SpoolWriter w(options(), clock_);
    w.append(FrameType::kStatsd, 1, "x");
  }
  auto r = LaneReader::open(lane());
  ASSERT_TRUE(r.ok());
  const Seen s = readAll(*r);
  EXPECT_EQ(s.frames, 1u);
  EXPECT_EQ(s.gaps, 0u);
  EXPECT_TRUE(r->dead());
  EXPECT_LT(fs::file_size(lane() + "/00000001.seg"), 1000u);
}

TEST_F(Spool, a_writer_that_never_wrote_leaves_nothing) {
  { SpoolWriter w(options(), clock_); }
  EXPECT_FALSE(fs::exists(dir_.path() + "/spool"));
}

TEST_F(Spool, frames_of_all_sizes_survive_many_segments) {
  std::mt19937 rng(1);
  std::map<std::uint64_t, std::string> sent;
  SpoolWriter w(options(), clock_);
  std::uint64_t samples = 0;
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    std::size_t n = 1 + rng() % 3000;
    if (i % 500 == 0) n = 700'000;
    std::string p(n, static_cast<char>('a' + i % 26));
    ASSERT_EQ(w.append(FrameType::kStatsd, static_cast<std::uint16_t>(i % 5), p),
              AppendStatus::kSpooled);
    samples += i % 5;
    sent[i] = std::move(p);
  }
  auto r = LaneReader::open(lane());
  ASSERT_TRUE(r.ok());
  const Seen s = readAll(*r, true);
  EXPECT_EQ(s.payloads, sent);
  EXPECT_EQ(s.samples, samples);
  EXPECT_EQ(s.gaps, 0u);
  EXPECT_EQ(w.stats().samples, samples);
  EXPECT_GT(w.stats().segments_fresh, 5u);
}

TEST_F(Spool, reading_goes_on_from_any_position) {
  SpoolWriter w(options(), clock_);
  for (int i = 0; i < 5000; ++i) w.append(FrameType::kStatsd, 1, std::string(400, 'x'));
  auto r = LaneReader::open(lane());
  FrameView f;
  Gap g;
  for (int i = 1; i <= 5000; ++i) {
    ASSERT_EQ(r->next(f, g), ReadStatus::kFrame);
    if (i % 617 == 0) {
      const Seen rest = readLane(lane(), f.after);
      EXPECT_EQ(rest.first, f.seq + 1);
      EXPECT_EQ(rest.frames, 5000u - f.seq);
      EXPECT_EQ(rest.gaps, 0u);
    }
  }
}

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

TEST_F(Spool, another_version_is_left_alone) {
  fs::create_directories(dir_.path() + "/spool");
  std::ofstream(dir_.path() + "/spool/VERSION") << "gwspool 2\n";
  SpoolWriter w(options(), clock_);
  EXPECT_EQ(w.append(FrameType::kStatsd, 1, "x"), AppendStatus::kBuffered);
  EXPECT_FALSE(fs::exists(dir_.path() + "/spool/budget"));
}

TEST_F(Spool, lanes_get_different_slots_and_shared_files_the_right_modes) {
  std::vector<std::unique_ptr<SpoolWriter>> writers;
  const mode_t before = ::umask(077);
  for (int i = 0; i < 30; ++i) {
    writers.push_back(std::make_unique<SpoolWriter>(options(), clock_));
    writers.back()->append(FrameType::kStatsd, 1, "x");
  }
  ::umask(before);
  std::set<std::string> slots;
  for (const auto& name : listLanes(dir_.path() + "/spool")) slots.insert(name.substr(0, 3));
  EXPECT_EQ(slots.size(), 30u);
  struct stat st {};
  ASSERT_EQ(::stat((lane() + "/00000001.seg").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0660u);
  ASSERT_EQ(::stat(lane().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0770u);
}

TEST_F(Spool, times_rise_in_a_lane_through_clock_steps) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  SpoolWriter w(options(), clock);
  for (int i = 0; i < 3000; ++i) {
    if (i == 1000) wall.advanceNs(3'600'000'000'000);
    if (i == 2000) wall.advanceNs(-7'200'000'000'000);
    mono.advanceNs(i % 3 * 100'000'000);
    w.append(FrameType::kStatsd, 1, "x");
  }
  auto r = LaneReader::open(lane());
  FrameView f;
  Gap g;
  std::int64_t last = 0;
  while (r->next(f, g) == ReadStatus::kFrame) {
    ASSERT_GT(f.ts_ns, last);
    last = f.ts_ns;
  }
  EXPECT_EQ(f.seq, 3000u);
}

TEST_F(Spool, the_child_of_a_fork_has_a_lane_of_its_own) {
  SpoolWriter w(options(), clock_);
  w.append(FrameType::kStatsd, 1, "parent");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // No atfork handler is installed here: the mark alone must find out.
    for (int i = 0; i < 5; ++i) w.append(FrameType::kStatsd, 1, "child");
    ::_exit(w.stats().frames == 5 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  w.append(FrameType::kStatsd, 1, "parent");
  ASSERT_EQ(listLanes(dir_.path() + "/spool").size(), 2u);
  std::vector<std::uint64_t> frames;
  for (int i = 0; i < 2; ++i) {
    auto r = LaneReader::open(lane(static_cast<std::size_t>(i)));
    const Seen s = readAll(*r);
    EXPECT_EQ(s.gaps, 0u);
    frames.push_back(s.frames);
    EXPECT_EQ(r->dead(), s.frames == 5);
  }
  std::sort(frames.begin(), frames.end());
  EXPECT_EQ(frames, (std::vector<std::uint64_t>{2, 5}));
}

TEST_F(Spool, threads_share_a_lane_without_loss) {
  auto o = options();
  o.helper_thread = true;
  SpoolWriter w(o, clock_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) w.append(FrameType::kStatsd, 1, std::string(500, 'x'));
    });
  }
  for (auto& t : threads) t.join();
  const Seen s = readLane(lane());
  EXPECT_EQ(s.frames, 20'000u);
  EXPECT_EQ(s.gaps, 0u);
}

// Sectors are flipped, zeroed or cut; what the reader gives back must be a true part of what was
// written, and what it says is missing must be exactly the rest.
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

TEST(CursorFileTest, keeps_the_former_state_when_a_slot_is_torn) {
  TestDir dir;
  const std::string path = dir.path() + "/c";
  auto c = CursorFile::open(path);
  ASSERT_TRUE(c.ok());
  EXPECT_FALSE(c->damaged());
  for (std::uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(c->store({{{i, 2}, i * 10, 3, 4}}).ok());
  }
  EXPECT_EQ(CursorFile::read(path).at(0).seq, 50u);
  // Generation 5 is in slot 0.
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(30).write("xx", 2);
  EXPECT_EQ(CursorFile::read(path).at(0).seq, 40u);
  auto again = CursorFile::open(path);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->generation(), 4u);
  ASSERT_TRUE(again->store({}).ok());
  EXPECT_TRUE(CursorFile::read(path).empty());
}

TEST(CursorFileTest, grows_for_many_lanes_and_survives_any_damage) {
  TestDir dir;
  const std::string path = dir.path() + "/c";
  auto c = CursorFile::open(path);
  std::vector<CursorEntry> many;
  for (std::uint64_t i = 0; i < 3000; ++i) many.push_back({{i, i}, i, 1, 128});
  ASSERT_TRUE(c->store(many).ok());
  ASSERT_TRUE(c->store(many).ok());
  EXPECT_EQ(CursorFile::read(path).size(), 3000u);
  std::mt19937 rng(5);
  const auto size = fs::file_size(path);
  for (int i = 0; i < 200; ++i) {
    if (i % 50 == 49) {
      fs::resize_file(path, rng() % size);
    } else {
      std::string junk(512, static_cast<char>(i % 2 ? rng() : 0));
      std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
      f.seekp(static_cast<std::streamoff>(rng() % (size / 512) * 512));
      f.write(junk.data(), 512);
    }
    auto again = CursorFile::open(path);
    ASSERT_TRUE(again.ok());
    ASSERT_TRUE(again->entries().empty() || again->entries().size() == 3000u);
    ASSERT_TRUE(again->store(many, false).ok());
    ASSERT_EQ(CursorFile::read(path).size(), 3000u);
  }
}

}  // namespace
}  // namespace godwit::metrics::spool
