// InfluxDB 1.x (/write) and 2.x (/api/v2/write).
#pragma once

#include "agent/http_client.h"
#include "agent/line_protocol.h"
#include "agent/target.h"

namespace godwit::agent {

class InfluxTarget final : public Target {
 public:
  InfluxTarget(const Section& settings, const TargetContext& context);

  void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                  Batch& batch) override;
  void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
               Batch& batch) override;
  Outcome send(const Batch& batch, std::size_t first, std::size_t last) override;
  void abort() override { http_.abort(); }

 private:
  void createDatabase();

  // Set once
  std::string write_url_;
  std::string create_url_;  // empty: do not
  std::vector<std::string> headers_;
  std::chrono::nanoseconds timeout_;
  bool gzip_;
  // Reader thread
  LineWriter writer_;
  // Sender thread
  HttpClient http_;
  std::string packed_;
};

// What InfluxDB's answers mean for a batch.
Outcome influxOutcome(const HttpAnswer& answer);

}  // namespace godwit::agent
