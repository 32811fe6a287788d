// Prints every Metrics as one JSON line, the counters and timers as on Kadabra's wire.
#pragma once

#include "agent/target.h"
#include "base/unique_fd.h"

namespace godwit::agent {

class DebugTarget final : public Target {
 public:
  explicit DebugTarget(const Section& settings);

  void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                  Batch& batch) override;
  void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
               Batch& batch) override;
  Outcome send(const Batch& batch, std::size_t first, std::size_t last) override;
  bool divisible() const override { return false; }
  // A person is watching.
  std::chrono::nanoseconds linger(std::chrono::nanoseconds configured) const override {
    return std::min<std::chrono::nanoseconds>(configured, std::chrono::milliseconds(50));
  }

 private:
  void addUnit(std::size_t offset, std::uint32_t samples, std::uint32_t index,
               const FrameRef& frame, Batch& batch);

  std::string output_;
  std::uint64_t file_max_;  // 0: no limit
  std::uint64_t rate_limit_;
  // Sender thread
  UniqueFd file_;
  std::int64_t second_ = 0;
  std::uint64_t this_second_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace godwit::agent
