#include "agent/decode.h"

#include "base/crc32c.h"
#include "metrics/metrics_binary.h"
#include "metrics/wire_json.h"

namespace godwit::agent {

void spreadTimestamps(std::string_view raw, metrics::Metrics& m) {
  auto slot = static_cast<std::int64_t>(crc32c(raw.data(), raw.size()) % 1000);
  auto spread = [&](std::vector<metrics::Sample>& samples) {
    for (auto& s : samples) {
      if (s.ts % 1000 == 0) s.ts += slot;
    }
  };
  spread(m.counters);
  spread(m.timers);
  spread(m.extra);
}

FrameDecoder::Result FrameDecoder::decode(const metrics::spool::FrameView& frame, FrameSink& sink) {
  if (frame.type == kFrameRequeued) {
    Requeued r;
    if (!decodeRequeued(frame.payload, r)) {
      why_ = "damaged requeued frame";
      return {Status::kMalformed, 0, frame.type, frame.payload};
    }
    if (r.publisher != publisher_) return {Status::kNothing, 0, r.inner, r.payload};
    return decodeAs(r.inner, r.payload, sink);
  }
  return decodeAs(frame.type, frame.payload, sink);
}

FrameDecoder::Result FrameDecoder::decodeAs(FrameType type, std::string_view payload,
                                            FrameSink& sink) {
  Result result{Status::kDone, 0, type, payload};
  if (type == kFrameLines) {
    std::string_view rest = payload;
    while (!rest.empty()) {
      std::size_t n = rest.find('\n');
      std::string_view line = rest.substr(0, n);
      rest.remove_prefix(n == std::string_view::npos ? rest.size() : n + 1);
      if (line.empty()) continue;
      sink.onLine(line, result.samples++);
    }
    return result;
  }
  switch (type) {
    case FrameType::kMetrics: {
      if (auto r = metrics::decodeMetrics(payload, scratch_); !r) {
        why_ = r.error().message;
        result.status = Status::kMalformed;
        return result;
      }
      result.samples = static_cast<std::uint32_t>(scratch_.sampleCount());
      sink.onMetrics(scratch_, 0);
      return result;
    }
    case FrameType::kKadabraJson: {
      if (auto r = metrics::parseWireJson(payload, scratch_); !r) {
        why_ = r.error().message;
        result.status = Status::kMalformed;
        return result;
      }
      spreadTimestamps(payload, scratch_);
      result.samples = static_cast<std::uint32_t>(scratch_.sampleCount());
      sink.onMetrics(scratch_, 0);
      return result;
    }
    case FrameType::kAggregate: {
      AggregateHeader h;
      if (!getAggregateHeader(payload, h)) {
        why_ = "damaged aggregate";
        result.status = Status::kMalformed;
        return result;
      }
      std::string_view rest = payload.substr(kAggregateHeaderSize);
      std::string_view one;
      for (std::uint32_t i = 0; nextAggregate(rest, one); ++i) {
        if (!metrics::decodeMetrics(one, scratch_)) continue;
        result.samples += static_cast<std::uint32_t>(scratch_.sampleCount());
        sink.onMetrics(scratch_, i);
      }
      return result;
    }
    case FrameType::kDropNote:
    case FrameType::kCheckpoint:
    case FrameType::kStatsd:
      result.status = Status::kNothing;
      return result;
    default:
      result.status = Status::kUnknown;
      return result;
  }
}

}  // namespace godwit::agent
