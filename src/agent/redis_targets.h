// Sends every Metrics as a Kadabra message to a Redis list, for agents that read from there.
#pragma once

#include <mutex>

#include "agent/redis_client.h"
#include "agent/target.h"

namespace godwit::agent {

class RedisListTarget final : public Target {
 public:
  RedisListTarget(const Section& settings, const TargetContext& context);

  void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                  Batch& batch) override;
  void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
               Batch& batch) override;
  Outcome send(const Batch& batch, std::size_t first, std::size_t last) override;
  FrameType deadType() const override { return FrameType::kKadabraJson; }
  bool divisible() const override { return false; }

 private:
  std::string key_;
  std::string host_;
  RedisClient redis_;
};

}  // namespace godwit::agent
