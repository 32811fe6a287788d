#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/unique_fd.h"
#include "metrics/spool_format.h"

// The bytes of a segment, read through a window: pread and not a map, because somebody else may cut
// the file short. One thread.
namespace godwit::metrics::spool {

// The fixed part of a frame, copied out of a read buffer.
struct FrameHead {
  std::uint32_t len = 0;
  std::uint32_t crc = 0;
  std::uint64_t seq = 0;
  std::int64_t ts_ns = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint16_t n_samples = 0;
  std::uint32_t source = 0;
};
static_assert(sizeof(FrameHead) == kFrameHeaderSize);

class SegmentWindow {
 public:
  // Takes the file; of more than kMaxSegmentSize bytes only those are seen.
  void open(UniqueFd fd, std::uint64_t size, std::uint32_t seed);
  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // n bytes at `off`, good until the next call; nullptr when there are not so many.
  const char* at(std::uint64_t off, std::size_t n) {
    if (off + n > size_) return nullptr;
    const bool here = off >= off_ && off + n <= off_ + bytes_.size();
    return here ? bytes_.data() + (off - off_) : load(off, n);
  }
  // Reads and proves the frame at `off`; afterwards its bytes are in the window.
  bool frameAt(std::uint64_t off, FrameHead& h);

  // What comes now is read from the file again.
  void forget() { bytes_.clear(); }
  // The same, and as little as possible: the reader is where the writer is.
  void rest();
  // Much will be looked at.
  void readAhead();

 private:
  const char* load(std::uint64_t off, std::size_t n);
  [[nodiscard]] bool plausible(const FrameHead& h, std::uint64_t off) const;

  UniqueFd fd_;
  std::uint64_t size_ = 0;
  std::uint32_t seed_ = 0;
  // Bytes [off_, off_ + bytes_.size()) of the file.
  std::vector<char> bytes_;
  std::uint64_t off_ = 0;
  std::size_t want_ = kSmall;

  static constexpr std::size_t kSmall = 4096;
  static constexpr std::size_t kLarge = 256u << 10;
};

}  // namespace godwit::metrics::spool
