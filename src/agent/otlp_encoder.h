// OpenTelemetry metrics (OTLP 1.0): ExportMetricsServiceRequest, as protobuf or as JSON. Pure.
#pragma once

#include <span>
#include <string>

#include "agent/series_store.h"

namespace godwit::agent {

struct OtlpOptions {
  std::string service_name;
  std::string host_name;
  std::string instance_id;
  bool delta = false;  // sums and histograms since the last export, else since start_ns
  std::int64_t delta_start_ns = 0;
  std::int64_t now_ns = 0;  // time of the points
};

// `series` in the order of SeriesStore::changed(): neighbours of one name share a Metric.
std::string encodeOtlp(std::span<CumulativeSeries* const> series, const OtlpOptions& options);
std::string encodeOtlpJson(std::span<CumulativeSeries* const> series, const OtlpOptions& options);

// rejected_data_points of the partial_success in an ExportMetricsServiceResponse; 0 if none.
std::int64_t otlpRejected(std::string_view protobuf_response, std::string& message);

inline constexpr int kOtlpScale = 5;  // floor(log2(1 / log2(gamma))) of the sketch's gamma

}  // namespace godwit::agent
