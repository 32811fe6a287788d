// From a frame of the log to what a publisher can say: metrics, or ready lines. One decoder per
// thread; what it hands out lives until the next call.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/frame_types.h"
#include "godwit/metrics/metrics.h"
#include "metrics/lane_reader.h"

namespace godwit::agent {

// Receives what a frame holds, in order. `index` counts the metrics or lines within the frame.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void onMetrics(const metrics::Metrics& m, std::uint32_t index) = 0;
  virtual void onLine(std::string_view line, std::uint32_t index) = 0;  // without newline
};

class FrameDecoder {
 public:
  enum class Status : std::uint8_t {
    kDone,
    kNothing,    // a frame without samples, or one meant for another publisher
    kMalformed,  // why() says what; quarantine the payload
    kUnknown,    // a frame type of a later version
  };
  struct Result {
    Status status = Status::kNothing;
    std::uint32_t samples = 0;  // handed to the sink
    FrameType type{};           // what the payload is: of a requeued frame the inner type
    std::string_view payload;
  };

  explicit FrameDecoder(std::string publisher) : publisher_(std::move(publisher)) {}

  Result decode(const metrics::spool::FrameView& frame, FrameSink& sink);
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  Result decodeAs(FrameType type, std::string_view payload, FrameSink& sink);

  std::string publisher_;
  std::string why_;
  metrics::Metrics scratch_;
};

// Timestamps of a Kadabra message have microseconds only. The rest is a function of the bytes, so
// that a message that comes twice, even through another agent, lands on the same point.
void spreadTimestamps(std::string_view raw, metrics::Metrics& m);

}  // namespace godwit::agent
