#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinto/plugins/metrics_service.h"

namespace godwit::kinto {

// Counters, summaries and histograms in memory, and their Prometheus text (exposition format 0.0.4)
// with the names that Kinto's plugin gives them: prefix + key, dots and dashes as underscores.
class PrometheusRegistry final : public MetricsService {
 public:
  struct Options {
    std::string prefix;  // as in the settings; cleaned and ended with '_' here, "" for none
    std::vector<std::string> disabled;                           // with or without prefix
    std::vector<double> buckets{0.01, 0.05, 0.1, 0.5, 1, 3, 6};  // upper bounds, +Inf is implied
    bool created = true;                                         // add the _created series
    std::size_t max_series = 20'000;  // new ones beyond are counted, not kept
    Options() = default;
  };
  explicit PrometheusRegistry(Options options);
  ~PrometheusRegistry() override;

  void count(std::string_view key, double n, Labels labels) override;
  void observe(std::string_view key, double value, Labels labels) override;
  void time(std::string_view key, double seconds, Labels labels) override;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::uint64_t overflowed() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kSummary, kHistogram };
  struct Series;
  struct Family;
  Series* series(std::string_view key, Kind kind, Labels labels);

  // Set once
  Options options_;

  mutable std::mutex mu_;
  // Guarded by mu_.
  std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;  // by key as recorded
  std::size_t series_ = 0;
  std::uint64_t overflowed_ = 0;
};

}  // namespace godwit::kinto
