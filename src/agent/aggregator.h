// StatsD windows: a pure function of the datagrams in the log. Feed it frames in order and it
// gives, at the end of each window, the same points however often it was interrupted and restored.
// No I/O, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/line_cache.h"
#include "agent/statsd_parser.h"
#include "agent/statsd_series.h"
#include "godwit/metrics/metrics.h"

namespace godwit::agent {

struct AggregatorOptions {
  std::int64_t interval_ns = 10'000'000'000;
  std::size_t max_series = 100'000;
  std::size_t max_series_per_name = 10'000;
  std::int64_t gauge_ttl_ns = 24LL * 3600 * 1'000'000'000;
  std::string prefix;
  bool kinto_names = false;
  StatsdOptions statsd;
};

// Cumulative; part of the saved state. lines = good + the bad ones.
struct AggregatorCounts {
  std::uint64_t lines = 0;
  std::uint64_t good = 0;
  std::uint64_t overflowed = 0;  // lines that went into an overflow series (they are good, too)
  std::uint64_t tags_cut = 0;
  std::uint64_t events_dropped = 0;  // good lines beyond the bound for events in one window
  std::uint64_t points = 0;          // given out
  std::array<std::uint64_t, static_cast<std::size_t>(StatsdBad::kCount)> bad{};
  friend bool operator==(const AggregatorCounts&, const AggregatorCounts&) = default;
};

class Aggregator {
 public:
  explicit Aggregator(AggregatorOptions options);

  // The window that the instant belongs to. When it is not the open one, call close() first.
  [[nodiscard]] std::int64_t windowOf(std::int64_t ts_ns) const;
  [[nodiscard]] std::int64_t open() const { return window_; }  // kNone: nothing has come yet
  static constexpr std::int64_t kNone = kNoWindow;

  // Parses into the open window, which becomes `window` when there is none.
  void add(std::int64_t window, std::string_view datagram);

  // Calls emit(metrics) for every series of the open window, in an order that depends on the data
  // only, and opens `next`.
  template <class Emit>
  void close(std::int64_t next, Emit&& emit) {
    for (Series* s : ordered()) {
      metrics::Metrics m;
      toMetrics(*s, m);
      emit(static_cast<const metrics::Metrics&>(m));
      ++counts_.points;
    }
    for (const metrics::Metrics& m : events_) {
      emit(m);
      ++counts_.points;
    }
    finishWindow(next);
  }

  [[nodiscard]] bool empty() const { return touched_.empty() && events_.empty(); }
  [[nodiscard]] std::size_t openSeries() const { return touched_.size(); }
  [[nodiscard]] std::size_t cachedSeries() const { return series_.size(); }
  [[nodiscard]] const AggregatorCounts& counts() const { return counts_; }
  // Names whose lines overflowed most in this process, with how often.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> offenders() const;

  void save(std::string& out) const;
  // False: damaged; the aggregator is empty then.
  bool restore(std::string_view bytes);

 private:
  using Kind = StatsdKind;
  using Series = StatsdSeries;
  struct Line {
    LineCut cut;
    std::uint64_t hash = 0;
  };

  bool addKnown(const Line& line);
  void addUnknown(const Line& line);
  void addEvent(const StatsdLine& line);
  static void addValue(Series& s, const StatsdLine::Value& v, double rate);
  static void addMember(Series& s, std::string_view member);
  Series* find(const StatsdLine& line, std::size_t& tags_cut);
  Series* admit(Series* s);
  Series* lookup(const std::string& key, Kind kind, std::string_view name, bool create);
  Series* overflowFor(Kind kind, std::string_view name);
  std::string nameOf(const StatsdLine& line);
  std::size_t makeKey(Kind kind, const StatsdLine& line, std::string& key, std::string& name);
  void toMetrics(const Series& s, metrics::Metrics& m) const;
  std::vector<Series*> ordered();
  void finishWindow(std::int64_t next);
  void evict();
  static Kind kindOf(StatsdType type);

  AggregatorOptions options_;
  StatsdParser parser_;
  StatsdLine line_;
  StatsdTags tags_;

  std::int64_t window_ = kNone;
  AggregatorCounts counts_;
  // A cache. The keys are views of Series::key.
  std::unordered_map<std::string_view, std::unique_ptr<Series>> series_;
  std::unordered_map<std::string, StatsdName> names_;
  std::vector<Series*> touched_;  // of the open window
  std::size_t overflow_series_ = 0;
  std::vector<metrics::Metrics> events_;
  std::map<std::string, std::uint64_t> offenders_;

  LineCache lines_;
  std::array<Line, 16> bunch_;  // scratch of add()
};

}  // namespace godwit::agent
