#include "metrics/spool_format.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "metrics/cursor_file.h"
#include "metrics/lane_reader.h"
#include "metrics/metrics_binary.h"
#include "metrics/test_dir.h"

namespace godwit::metrics::spool {
namespace {

// The hex dumps of docs/formats/spool.md, in order.
std::vector<std::string> documentedBytes() {
  std::ifstream page(GODWIT_SOURCE_DIR "/docs/formats/spool.md");
  std::vector<std::string> dumps;
  std::string line;
  while (std::getline(page, line)) {
    std::istringstream in(line);
    std::string offset;
    in >> offset;
    if (line.size() < 20 || offset.size() != 4 || line.compare(4, 2, "  ") != 0) continue;
    if (offset == "0000") dumps.emplace_back();
    if (dumps.empty()) continue;
    EXPECT_EQ(std::stoul(offset, nullptr, 16), dumps.back().size());
    for (std::size_t i = 6; i + 2 <= 6 + 48 && i + 2 <= line.size() && line[i] != ' '; i += 3) {
      dumps.back() += static_cast<char>(std::stoul(line.substr(i, 2), nullptr, 16));
    }
  }
  return dumps;
}

TEST(SpoolFormat, the_documented_example_is_read_as_the_page_says) {
  const auto dumps = documentedBytes();
  ASSERT_EQ(dumps.size(), 2u);
  const TestDir dir;
  std::ofstream(dir.path() + "/00000001.seg", std::ios::binary) << dumps[0];
  auto reader = LaneReader::open(dir.path());
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  FrameView f;
  Gap g;
  ASSERT_EQ(reader->next(f, g), ReadStatus::kFrame);
  EXPECT_EQ(f.seq, 1u);
  EXPECT_EQ(f.n_samples, 1);
  ASSERT_EQ(f.payload.size(), 42u);
  Metrics m;
  ASSERT_TRUE(decodeMetrics(f.payload, m).ok());
  EXPECT_EQ(m.dims, (Dims{{"app", "kinto"}}));
  EXPECT_EQ(m.counters.at(0).name, "Failure");
  EXPECT_EQ(m.counters.at(0).value, 1.0);
  EXPECT_EQ(m.counters.at(0).ts, 1'795'153'696'841'713'017);
  // And it is what we would write.
  m.counters[0].ts -= 17;
  EXPECT_EQ(encodeMetrics(m, 17), f.payload);
  const Position after = f.after;
  EXPECT_EQ(reader->next(f, g), ReadStatus::kEnd);

  std::string cursor = dumps[1];
  cursor.resize(2 * kCursorSlotUnit);
  std::ofstream(dir.path() + "/cursor", std::ios::binary) << cursor;
  const auto entries = CursorFile::read(dir.path() + "/cursor");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].lane_id, reader->id());
  EXPECT_EQ((Position{entries[0].seq, entries[0].seg, entries[0].off}), after);
}

TEST(SpoolFormat, a_frame_always_leaves_room_for_a_seal) {
  for (std::size_t off = 128; off < 4096; off += 8) {
    for (std::size_t n = 1; n < 300; ++n) {
      if (frameFits(off, n, 4096)) {
        EXPECT_LE(off + frameSize(n) + kFrameHeaderSize, 4096u);
      }
    }
  }
  EXPECT_EQ(frameSize(1), 40u);
  EXPECT_EQ(frameSize(8), 40u);
  EXPECT_EQ(frameSize(9), 48u);
}

TEST(SpoolFormat, lanes_and_segments_have_different_seeds) {
  EXPECT_NE(frameSeed({1, 2}, 1), frameSeed({1, 2}, 2));
  EXPECT_NE(frameSeed({1, 2}, 1), frameSeed({1, 6}, 1));
}

}  // namespace
}  // namespace godwit::metrics::spool
