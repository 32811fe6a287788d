// Series with cumulative values: what Prometheus shows and OTLP sends. Bounded; beyond the bounds
// samples go into overflow series, which keep the totals. No I/O, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "godwit/metrics/metrics.h"
#include "metrics/sketch.h"

namespace godwit::agent {

enum class SeriesKind : std::uint8_t { kCounter = 1, kGauge, kTimer };

struct CumulativeSeries {
  std::string key;  // owned here, viewed by the store's map
  SeriesKind kind{};
  std::string name;
  metrics::Dims labels;                     // sorted by key
  double per_second = 0;                    // timers: 0 is "no unit"; divide by it to get seconds
  double value = 0;                         // counter, gauge
  std::unique_ptr<metrics::Sketch> sketch;  // timer
  std::int64_t start_ns = 0;
  std::int64_t last_ns = 0;  // of the newest sample
  std::int64_t seen_ns = 0;  // when the log had it, for the time to live
  // Since markSent(): what a sender still owes.
  std::uint64_t unsent = 0;
  double sent_value = 0;
  std::unique_ptr<metrics::Sketch> unsent_sketch;  // only with keep_deltas
};

struct SeriesLimits {
  std::size_t series = 100'000;
  std::size_t per_name = 10'000;
  std::int64_t ttl_ns = 3'600'000'000'000;
  bool track_unsent = false;  // for those who send
  bool keep_deltas = false;   // and send differences
};

class SeriesStore {
 public:
  explicit SeriesStore(SeriesLimits limits) : limits_(limits) {}

  enum class Added : std::uint8_t { kYes, kUnsupported, kNotFinite, kEmptyName };
  // `log_ns`: when the frame was appended; time to live runs on it.
  Added add(const metrics::Dims& dims, const metrics::Sample& sample, std::string_view host,
            std::int64_t log_ns);
  Added addGauge(const metrics::Dims& dims, std::string name, double value, std::int64_t ts,
                 std::string_view host, std::int64_t log_ns);

  [[nodiscard]] std::vector<CumulativeSeries*> all();
  // With something unsent; sorted by name.
  [[nodiscard]] std::vector<CumulativeSeries*> changed();
  void markSent(CumulativeSeries& s);
  // Forgets series silent for the time to live, unless something is unsent.
  void expire(std::int64_t log_ns);

  [[nodiscard]] std::size_t size() const { return series_.size(); }
  [[nodiscard]] std::uint64_t overflowed() const { return overflowed_; }

  void save(std::string& out) const;
  bool restore(std::string_view bytes);

 private:
  CumulativeSeries& find(SeriesKind kind, const metrics::Dims& dims, std::string_view name,
                         std::string_view host, double per_second, std::int64_t log_ns);
  CumulativeSeries& insert(std::string key, SeriesKind kind, std::string_view name,
                           metrics::Dims labels, double per_second, std::int64_t log_ns);

  SeriesLimits limits_;
  std::unordered_map<std::string_view, std::unique_ptr<CumulativeSeries>> series_;
  std::unordered_map<std::string, std::size_t> per_name_;
  std::uint64_t overflowed_ = 0;
};

}  // namespace godwit::agent
