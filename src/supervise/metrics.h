#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervise/json.h"
#include "supervise/units.h"

namespace godwit::supervise {

// Prometheus text format 0.0.4. Families must be written once each, so samples are collected and
// grouped.
class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;
  void counter(std::string_view name, std::string_view help, const Labels& labels, double value);
  void gauge(std::string_view name, std::string_view help, const Labels& labels, double value);
  void histogram(std::string_view name, std::string_view help, const Labels& labels,
                 const std::vector<double>& bounds, const std::vector<std::uint64_t>& counts,
                 double sum);
  [[nodiscard]] std::string text() const;

 private:
  struct Family {
    std::string_view name, help, type;
    std::string samples;
  };
  Family& family(std::string_view name, std::string_view help, std::string_view type);
  std::vector<Family> families_;
};

// Seconds, in buckets fit for start-up and drain times.
class TimeHistogram {
 public:
  void add(TimeNs span);
  void write(MetricsText& out, std::string_view name, std::string_view help,
             const MetricsText::Labels& labels) const;
  static const std::vector<double>& bounds();
  void save(JsonWriter& out) const;
  void restore(const JsonValue& in);  // one of other bounds is not taken

 private:
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(bounds().size() + 1);
  TimeNs sum_ = 0;
};

// What a service counts. Plain numbers; loop thread only.
struct ServiceMetrics {
  std::uint64_t reloads_ok = 0;
  std::map<std::string, std::uint64_t> reloads_failed;  // by reason; reasons are a closed list
  std::map<std::string, std::uint64_t> exits;           // by code; "signal-9"
  std::uint64_t kills = 0;
  std::uint64_t leftover_resets = 0;
  std::uint64_t rollbacks = 0;
  TimeNs restart_backoff = 0;
  TimeHistogram reload_seconds;
  TimeHistogram ready_seconds;
  TimeHistogram drain_seconds;
};

}  // namespace godwit::supervise
