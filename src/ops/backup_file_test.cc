#include "ops/backup_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops/line_reader.h"

namespace godwit::ops {
namespace {

UniqueFd fileOf(const std::string& bytes) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

std::string contentsOf(int fd) {
  std::string out(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
  return out;
}

// Large enough for several buffers, and not all the same.
std::string database() {
  std::string out;
  for (std::uint32_t n = 0; out.size() < 700'000; ++n) out += std::to_string(n * 2654435761U);
  return out;
}

std::string backupOf(const std::string& bytes) {
  UniqueFd from = fileOf(bytes);
  UniqueFd to = fileOf("");
  BackupInfo info;
  info.made = "2026-01-31T23:59:59Z";
  info.objects = 7;
  EXPECT_TRUE(measure(from.get(), info).ok());
  EXPECT_EQ(info.bytes, bytes.size());
  EXPECT_TRUE(compressDatabase(from.get(), info, to.get(), nullptr).ok());
  return contentsOf(to.get());
}

TEST(BackupFile, what_goes_in_comes_out) {
  for (const std::string& bytes : {database(), std::string("x"), std::string(256 << 10, 'y')}) {
    UniqueFd backup = fileOf(backupOf(bytes));
    UniqueFd out = fileOf("");
    auto info = expandBackup(backup.get(), out.get(), nullptr);
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_EQ(info->objects, 7U);
    EXPECT_EQ(info->made, "2026-01-31T23:59:59Z");
    EXPECT_TRUE(contentsOf(out.get()) == bytes);
  }
}

TEST(BackupFile, every_changed_bit_and_every_cut_is_found) {
  std::string bytes = "one database, or what stands for it here, " + std::string(300, 'z');
  std::string good = backupOf(bytes);
  for (std::size_t i = 0; i < good.size(); ++i) {
    UniqueFd cut = fileOf(good.substr(0, i));
    EXPECT_FALSE(expandBackup(cut.get(), -1, nullptr).ok()) << "cut at " << i;
  }
  // The description is text for people but for its size and checksum; the rest is all checked.
  std::size_t data = good.find("\x28\xB5\x2F\xFD");
  ASSERT_NE(data, std::string::npos);
  for (std::size_t i = data; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    UniqueFd fd = fileOf(bad);
    UniqueFd out = fileOf("");
    // The frame's head has bits that mean nothing.
    bool harmless = expandBackup(fd.get(), out.get(), nullptr).ok();
    EXPECT_TRUE(!harmless || contentsOf(out.get()) == bytes) << "changed at " << i;
    EXPECT_TRUE(!harmless || i <= data + 6) << "changed at " << i;
  }
  UniqueFd longer = fileOf(good + "x");
  EXPECT_FALSE(expandBackup(longer.get(), -1, nullptr).ok());
}

TEST(BackupFile, no_more_is_written_than_was_promised) {
  std::string good = backupOf(std::string(1 << 20, 'a'));
  std::string small = good;
  std::size_t at = small.find("1048576");
  ASSERT_NE(at, std::string::npos);
  small.replace(at, 7, "0000010");
  UniqueFd fd = fileOf(small);
  UniqueFd out = fileOf("");
  EXPECT_FALSE(expandBackup(fd.get(), out.get(), nullptr).ok());
  EXPECT_LE(contentsOf(out.get()).size(), 10U);
}

TEST(LineReader, lines_of_any_length_and_no_torn_last_one) {
  std::string text;
  std::vector<std::string> want;
  for (std::size_t size : {0UL, 1UL, 5UL, 300'000UL, 0UL, 1'000'000UL, 262'143UL, 262'144UL}) {
    want.emplace_back(size, static_cast<char>('a' + want.size()));
    text += want.back() + "\n";
  }
  UniqueFd fd = fileOf(text + "torn");
  LineReader lines(fd.get(), 0);
  std::string_view line;
  std::size_t offset = 0;
  for (const std::string& w : want) {
    auto more = lines.next(line);
    ASSERT_TRUE(more.ok() && *more);
    EXPECT_TRUE(line == w) << w.size();
    offset += w.size() + 1;
    EXPECT_EQ(lines.offset(), offset);
  }
  EXPECT_FALSE(*lines.next(line));
  EXPECT_FALSE(*lines.next(line));
  LineReader later(fd.get(), want[0].size() + 1 + want[1].size() + 1);
  ASSERT_TRUE(*later.next(line));
  EXPECT_TRUE(line == want[2]);
}

}  // namespace
}  // namespace godwit::ops
