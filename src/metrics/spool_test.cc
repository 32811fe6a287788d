#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "base/clock.h"
#include "metrics/spool_fixture.h"
#include "metrics/spool_room.h"

namespace godwit::metrics::spool {
namespace {

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

// A kill -9 can fall between the commit of a frame and its counting.
TEST_F(Spool, the_account_of_a_dead_lane_includes_a_frame_that_was_not_counted) {
  {
    SpoolWriter w(options(), clock_);
    for (int i = 0; i < 300; ++i) w.append(FrameType::kStatsd, 3, std::string(900, 'x'));
  }
  const std::string file = lane() + "/lane";
  std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
  const std::uint64_t short_by_one[2] = {299, 897};
  f.seekp(offsetof(LaneHeader, frames_total));
  f.write(reinterpret_cast<const char*>(short_by_one), sizeof short_by_one);
  f.close();
  auto r = LaneReader::open(lane());
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->account().frames, 299u);  // the producer may still be alive
  ASSERT_TRUE(r->dead());
  EXPECT_EQ(r->account().frames, 300u);
  EXPECT_EQ(r->account().samples, 900u);
  const Seen s = readAll(*r);
  EXPECT_EQ(s.frames, 300u);
  EXPECT_EQ(s.gaps, 0u);
}

TEST_F(Spool, half_made_lanes_of_the_dead_are_removed_after_a_minute) {
  SpoolWriter w(options(), clock_);
  w.append(FrameType::kStatsd, 1, "x");
  const std::string root = dir_.path() + "/spool";
  const std::string left = root + "/lanes/007-abcdef01-1-2-89abcdef.tmp";
  fs::create_directory(left);
  std::ofstream(left + "/lane") << "half";
  const std::int64_t now = Clock::system().nowNs();
  removeAbandonedLanes(root, now);
  EXPECT_TRUE(fs::exists(left));
  removeAbandonedLanes(root, now + 120'000'000'000);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(lane()));
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

TEST_F(Spool, the_lane_file_tells_of_a_clock_that_stepped_back) {
  ManualClock wall(1'795'000'000'000'000'000);
  ManualClock mono(0);
  StampClock clock(wall, mono);
  SpoolWriter w(options(), clock);
  wall.advanceNs(-3'600'000'000'000);
  mono.advanceNs(1'000'000'000);
  wall.advanceNs(1'000'000'000);
  w.append(FrameType::kStatsd, 1, "x");
  auto r = LaneReader::open(lane());
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->account().clock_hold_ns, 3'600'000'000'000u);
}

TEST_F(Spool, a_group_that_shares_the_directory_shares_all_below_it) {
  const std::string root = dir_.path() + "/spool";
  fs::create_directory(root);
  ASSERT_EQ(::chmod(root.c_str(), 02770), 0);
  SpoolWriter w(options(), clock_);
  w.append(FrameType::kStatsd, 1, "x");
  struct stat st {};
  for (const std::string& d : {root + "/lanes", root + "/cursors", lane()}) {
    ASSERT_EQ(::stat(d.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 02770u) << d;
  }
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

}  // namespace
}  // namespace godwit::metrics::spool
