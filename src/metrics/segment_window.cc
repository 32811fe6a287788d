#include "metrics/segment_window.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace godwit::metrics::spool {

void SegmentWindow::open(UniqueFd fd, std::uint64_t size, std::uint32_t seed) {
  fd_ = std::move(fd);
  size_ = std::min<std::uint64_t>(size, kMaxSegmentSize);
  seed_ = seed;
  forget();
}

void SegmentWindow::rest() {
  want_ = kSmall;
  forget();
}

void SegmentWindow::readAhead() { want_ = kLarge; }

const char* SegmentWindow::load(std::uint64_t off, std::size_t n) {
  const auto want =
      static_cast<std::size_t>(std::min<std::uint64_t>(std::max(n, want_), size_ - off));
  bytes_.resize(want);
  off_ = off;
  std::size_t got = 0;
  while (got < want) {
    const ssize_t r =
        ::pread(fd_.get(), bytes_.data() + got, want - got, static_cast<off_t>(off + got));
    if (r < 0 && errno == EINTR) continue;
    if (r <= 0) break;  // truncated under us, or a bad block
    got += static_cast<std::size_t>(r);
  }
  bytes_.resize(got);
  want_ = std::min(want_ * 2, kLarge);
  return got >= n ? bytes_.data() : nullptr;
}

bool SegmentWindow::plausible(const FrameHead& h, std::uint64_t off) const {
  return h.len > 0 && h.len <= kMaxPayload && h.type != 0 &&
         off + kFrameHeaderSize + h.len <= size_;
}

bool SegmentWindow::frameAt(std::uint64_t off, FrameHead& h) {
  const char* p = at(off, sizeof h);
  if (!p) return false;
  std::memcpy(&h, p, sizeof h);
  if (!plausible(h, off)) return false;
  p = at(off, kFrameHeaderSize + h.len);
  if (!p) return false;
  std::memcpy(&h, p, sizeof h);  // the window may have been read anew
  return plausible(h, off) && frameCrc(p, h.len, seed_) == h.crc;
}

}  // namespace godwit::metrics::spool
