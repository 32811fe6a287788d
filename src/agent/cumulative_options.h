// Settings of a publisher that keeps totals.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "agent/config.h"
#include "agent/otlp_client.h"
#include "agent/otlp_encoder.h"
#include "agent/series_store.h"
#include "agent/target.h"

namespace godwit::agent {

struct CumulativeOptions {
  std::string name;
  std::string state_path;
  std::string cursor_path;
  std::string dead_dir;
  std::uint64_t dead_max_bytes = 64u << 20;
  bool required = true;
  std::string host;  // label `host`, empty: none
  SeriesLimits limits;
  // Sending; without a URL nothing is sent and every sample counts as published once it is saved.
  OtlpAddress to;
  std::size_t batch = 5000;  // series in one request
  std::chrono::nanoseconds interval{10'000'000'000};
  std::chrono::nanoseconds retry_max{30'000'000'000};
  OtlpOptions otlp;
};

CumulativeOptions cumulativeOptions(const Section& settings, const TargetContext& context);

}  // namespace godwit::agent
