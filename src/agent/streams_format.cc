#include "agent/streams_format.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "agent/raw_bytes.h"

namespace godwit::agent {
void putStreamFrame(std::string& out, const StreamFrame& f) {
  put(out, static_cast<std::uint32_t>(f.payload.size()));
  put(out, f.seq);
  put(out, f.ts_ns);
  put(out, static_cast<std::uint8_t>(f.type));
  put(out, std::uint8_t{0});
  put(out, f.n_samples);
  out += f.payload;
}

bool nextStreamFrame(std::string_view& rest, StreamFrame& out) {
  if (rest.size() < kStreamFrameHeader) return false;
  auto n = get<std::uint32_t>(rest, 0);
  if (n > rest.size() - kStreamFrameHeader) return false;
  out.seq = get<std::uint64_t>(rest, 4);
  out.ts_ns = get<std::int64_t>(rest, 12);
  out.type = static_cast<FrameType>(rest[20]);
  out.n_samples = get<std::uint16_t>(rest, 22);
  out.payload = rest.substr(kStreamFrameHeader, n);
  rest.remove_prefix(kStreamFrameHeader + n);
  return true;
}

std::string laneText(LaneId id) {
  char buf[33];
  std::snprintf(buf, sizeof buf, "%016llx%016llx", static_cast<unsigned long long>(id.hi),
                static_cast<unsigned long long>(id.lo));
  return buf;
}

bool SeenFrames::take(std::uint64_t seq) {
  if (seq <= below_ || !beyond_.insert(seq).second) return false;
  if (beyond_.size() > kWindow) {
    // Too many holes to remember: what is missing below the window will be taken as seen. The
    // sender's own account still has it, and sends it again only if it was never acknowledged.
    below_ = *beyond_.begin();
  }
  advance();
  return true;
}

void SeenFrames::cover(std::uint64_t base, std::uint64_t first, std::uint64_t last) {
  below_ = std::max(below_, base);
  if (first <= below_ + 1) below_ = std::max(below_, last);
  advance();
}

void SeenFrames::advance() {
  while (!beyond_.empty() && *beyond_.begin() <= below_ + 1) {
    below_ = std::max(below_, *beyond_.begin());
    beyond_.erase(beyond_.begin());
  }
}

}  // namespace godwit::agent
