// What the agent itself writes into the spool, beside the types of metrics/spool_format.h.
// docs/formats/agent-frames.md is the contract.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "metrics/spool_format.h"

namespace godwit::agent {

using metrics::spool::FrameType;
using metrics::spool::LaneId;

// Lines of InfluxDB line protocol, each with a timestamp in ns and a newline. n_samples = lines.
inline constexpr auto kFrameLines = static_cast<FrameType>(7);
// A dead letter given back to the one publisher that had refused it.
inline constexpr auto kFrameRequeued = static_cast<FrameType>(8);

// FrameHeader::source of frames the agent received.
enum class Source : std::uint32_t {
  kProcess = 0,  // measured by the process that owns the lane
  kSelf = 1,
  kAggregator = 2,
  kRedis = 3,
  kStreams = 4,
  kResp = 5,
  kHttpLines = 6,
  kHttpJson = 7,
  kStatsdUdp = 8,
  kStatsdUnix = 9,
  kStatsdStream = 10,
  kStatsdTcp = 11,
  kRequeue = 12,
  kCount = 13,
};
std::string_view sourceName(Source source);

// Who reads a lane. The first frame that is not a drop note tells: datagrams and ticks are for the
// aggregator, everything else is for the publishers. The agent never mixes them in a lane.
enum class LaneRole : std::uint8_t { kUnknown, kPoints, kStatsd };
LaneRole roleOf(FrameType type);

// Payload of kFrameRequeued: u8 1, u8 inner type, u16 length of the publisher's name, the name, the
// inner payload.
std::string encodeRequeued(std::string_view publisher, FrameType inner, std::string_view payload);
struct Requeued {
  std::string_view publisher;
  FrameType inner;
  std::string_view payload;
};
bool decodeRequeued(std::string_view payload, Requeued& out);

// Payload of a type-4 frame: u8 1, i64 window, u32 chunk, u32 n, then n times u32 length and a
// Metrics-binary.
struct AggregateHeader {
  std::int64_t window = 0;
  std::uint32_t chunk = 0;
  std::uint32_t count = 0;
};
inline constexpr std::size_t kAggregateHeaderSize = 17;
void putAggregateHeader(std::string& out, const AggregateHeader& h);
bool getAggregateHeader(std::string_view payload, AggregateHeader& out);
// The next Metrics-binary of `rest`, which it shortens. False: damaged or done.
bool nextAggregate(std::string_view& rest, std::string_view& metrics);

}  // namespace godwit::agent
