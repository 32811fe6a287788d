// Sends frames to the Redis stream of a fleet (protocol v2) and waits until a receiving agent has
// them in its spool: a Redis that restarts empty in between loses nothing.
#pragma once

#include <atomic>

#include "agent/redis_client.h"
#include "agent/streams_format.h"
#include "agent/target.h"

namespace godwit::agent {

class StreamTarget final : public Target {
 public:
  explicit StreamTarget(const Section& settings);

  void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                  Batch& batch) override;
  void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
               Batch& batch) override;
  Outcome send(const Batch& batch, std::size_t first, std::size_t last) override;
  bool divisible() const override { return false; }
  void abort() override { aborted_.store(true); }

 private:
  void addFrame(const FrameRef& frame, std::uint32_t samples, Batch& batch);
  Result<bool> acknowledged(const std::vector<std::pair<std::string, std::uint64_t>>& wanted);

  std::string stream_;
  std::string max_length_;
  std::atomic<bool> aborted_{false};
  RedisClient redis_;  // sender thread
};

}  // namespace godwit::agent
