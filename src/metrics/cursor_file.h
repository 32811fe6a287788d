#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "metrics/spool_format.h"

// cursors/<publisher>: two slots, the valid one with the higher generation counts.
// docs/formats/spool.md, "Cursors". One thread at a time.
namespace godwit::metrics::spool {

class CursorFile {
 public:
  // Creates the file when there is none. A file without any valid slot reads as empty and
  // damaged() says so: everything is then read again, nothing is lost.
  static Result<CursorFile> open(const std::string& path);
  // For those who only look. An absent or damaged file is empty.
  static std::vector<CursorEntry> read(const std::string& path);

  [[nodiscard]] const std::vector<CursorEntry>& entries() const { return entries_; }
  [[nodiscard]] bool damaged() const { return damaged_; }
  [[nodiscard]] std::uint64_t generation() const { return gen_; }

  // Writes all entries into the slot that does not count yet, then fdatasync (unless !sync). On an
  // error the former state still counts.
  Result<void> store(const std::vector<CursorEntry>& entries, bool sync = true);

 private:
  CursorFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<void> grow(std::size_t entries);

  std::string path_;
  UniqueFd fd_;
  std::vector<CursorEntry> entries_;
  std::size_t slot_size_ = kCursorSlotUnit;
  std::uint64_t gen_ = 0;
  int active_ = 1;  // slot that counts; the first store goes to slot 0
  bool damaged_ = false;
};

}  // namespace godwit::metrics::spool
