#include "agent/frame_types.h"

#include <cstring>

#include "agent/raw_bytes.h"

namespace godwit::agent {
namespace {}  // namespace

std::string_view sourceName(Source source) {
  switch (source) {
    case Source::kProcess:
      return "spool";
    case Source::kSelf:
      return "self";
    case Source::kAggregator:
      return "aggregator";
    case Source::kRedis:
      return "redis";
    case Source::kStreams:
      return "streams";
    case Source::kResp:
      return "resp";
    case Source::kHttpLines:
      return "http_lines";
    case Source::kHttpJson:
      return "http_json";
    case Source::kStatsdUdp:
      return "statsd_udp";
    case Source::kStatsdUnix:
      return "statsd_unix_dgram";
    case Source::kStatsdStream:
      return "statsd_unix_stream";
    case Source::kStatsdTcp:
      return "statsd_tcp";
    case Source::kRequeue:
      return "requeue";
    case Source::kCount:
      break;
  }
  return "unknown";
}

LaneRole roleOf(FrameType type) {
  if (type == FrameType::kDropNote) return LaneRole::kUnknown;
  bool statsd = type == FrameType::kStatsd || type == FrameType::kCheckpoint;
  return statsd ? LaneRole::kStatsd : LaneRole::kPoints;
}

std::string encodeRequeued(std::string_view publisher, FrameType inner, std::string_view payload) {
  std::string out;
  out.reserve(4 + publisher.size() + payload.size());
  out += '\1';
  out += static_cast<char>(inner);
  put(out, static_cast<std::uint16_t>(publisher.size()));
  out += publisher;
  out += payload;
  return out;
}

bool decodeRequeued(std::string_view payload, Requeued& out) {
  if (payload.size() < 4 || payload[0] != 1) return false;
  out.inner = static_cast<FrameType>(payload[1]);
  auto n = get<std::uint16_t>(payload, 2);
  if (payload.size() - 4 < n || out.inner == kFrameRequeued) return false;
  out.publisher = payload.substr(4, n);
  out.payload = payload.substr(4u + n);
  return true;
}

void putAggregateHeader(std::string& out, const AggregateHeader& h) {
  out += '\1';
  put(out, h.window);
  put(out, h.chunk);
  put(out, h.count);
}

bool getAggregateHeader(std::string_view payload, AggregateHeader& out) {
  if (payload.size() < kAggregateHeaderSize || payload[0] != 1) return false;
  out.window = get<std::int64_t>(payload, 1);
  out.chunk = get<std::uint32_t>(payload, 9);
  out.count = get<std::uint32_t>(payload, 13);
  return true;
}

bool nextAggregate(std::string_view& rest, std::string_view& metrics) {
  if (rest.size() < 4) return false;
  auto n = get<std::uint32_t>(rest, 0);
  if (rest.size() - 4 < n) return false;
  metrics = rest.substr(4, n);
  rest.remove_prefix(4u + n);
  return true;
}

}  // namespace godwit::agent
