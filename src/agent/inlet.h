// Where receivers put what they receive: lanes owned by the agent. Points, datagrams and aggregates
// have a lane each, because a lane is read by one kind of consumer. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/frame_types.h"
#include "metrics/spool_writer.h"

namespace godwit::agent {

class Inlet {
 public:
  enum class LaneName : std::uint8_t { kPoints, kStatsd, kAggregates };

  explicit Inlet(const metrics::spool::WriterOptions& options);

  // True when the frame is in the spool and survives the death of the agent: only then may its
  // source be acknowledged.
  bool append(LaneName lane, FrameType type, std::uint16_t samples, std::string_view payload,
              Source source);

  struct Received {
    std::uint64_t frames = 0;
    std::uint64_t samples = 0;
    std::uint64_t refused = 0;  // frames the spool could not take
  };
  [[nodiscard]] Received received(Source source) const;
  [[nodiscard]] metrics::spool::WriterStats stats(LaneName lane) const;
  // Directory of the lane, empty before its first frame.
  [[nodiscard]] std::string laneDir(LaneName lane) const { return stats(lane).lane; }
  [[nodiscard]] metrics::StampClock& clock() { return clock_; }
  void close();

 private:
  struct Counter {
    std::atomic<std::uint64_t> frames{0}, samples{0}, refused{0};
  };
  metrics::StampClock& clock_;
  std::array<std::unique_ptr<metrics::spool::SpoolWriter>, 3> writers_;
  std::array<Counter, static_cast<std::size_t>(Source::kCount)> received_;
};

}  // namespace godwit::agent
