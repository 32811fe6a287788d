// Entries of the Redis stream (protocol v2). docs/formats/agent-streams.md. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "agent/frame_types.h"

namespace godwit::agent {

// A frame inside field b: u32 len, u64 seq, i64 ts_ns, u8 type, u8 0, u16 n_samples, payload.
struct StreamFrame {
  std::uint64_t seq = 0;
  std::int64_t ts_ns = 0;
  FrameType type{};
  std::uint16_t n_samples = 0;
  std::string_view payload;
};
inline constexpr std::size_t kStreamFrameHeader = 24;
void putStreamFrame(std::string& out, const StreamFrame& f);
// Shortens `rest`. False at its end, or when damaged (then rest is not empty).
bool nextStreamFrame(std::string_view& rest, StreamFrame& out);

std::string laneText(LaneId id);  // 32 hexadecimal digits

// Which frames of a lane have been taken: everything up to `below`, and single ones beyond.
class SeenFrames {
 public:
  static constexpr std::size_t kWindow = 1024;
  explicit SeenFrames(std::uint64_t below = 0) : below_(below) {}

  // False: taken before.
  bool take(std::uint64_t seq);
  // The sender says: everything up to `base` is done, and first..last are covered by this entry.
  void cover(std::uint64_t base, std::uint64_t first, std::uint64_t last);
  [[nodiscard]] std::uint64_t below() const { return below_; }

 private:
  void advance();
  std::uint64_t below_;
  std::set<std::uint64_t> beyond_;
};

}  // namespace godwit::agent
