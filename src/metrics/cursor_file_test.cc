#include "metrics/cursor_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "metrics/test_dir.h"

namespace godwit::metrics::spool {
namespace {

namespace fs = std::filesystem;

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
