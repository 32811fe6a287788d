// Data model of godwit::metrics: what a collector gathers and a client sends. Plain values without
// behaviour, limits or locks; one thread at a time. The names follow docs/metrics.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace godwit::metrics {

using TimeNs = std::int64_t;  // Unix time in nanoseconds, UTC

// How a timer's number relates to time: number = seconds * per_second. On the wire `per_second` is
// "seconds_offset"; `integral` keeps a producer's `1000` apart from `1000.0` there.
struct Unit {
  std::string name;
  double per_second = 1.0;
  bool integral = false;
  friend bool operator==(const Unit&, const Unit&) = default;
};
inline const Unit Seconds{"seconds", 1.0};
inline const Unit Milliseconds{"milliseconds", 1e3};
inline const Unit Microseconds{"microseconds", 1e6};
inline const Unit Nanoseconds{"nanoseconds", 1e9};

// JSON scalars; monostate is null. Order of insertion is kept, because the wire shows it.
using MetaValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;
using Meta = std::vector<std::pair<std::string, MetaValue>>;
using Dims = std::vector<std::pair<std::string, std::string>>;

// Stored on disk: values never change meaning, new ones are added at the end.
enum class Kind : std::uint8_t {
  Counter = 1,
  Timer,
  Gauge,
  GaugeDelta,
  Set,
  Histogram,
  Distribution,
  Event,
  ServiceCheck,
  Sketch,
};
inline constexpr std::uint8_t kKindMax = static_cast<std::uint8_t>(Kind::Sketch);

struct Sample {
  std::string name;
  Kind kind = Kind::Counter;
  bool explicit_ts = false;  // the caller gave `ts`: it is never altered
  double value = 0;          // Timer: in `unit`. Sketch: the sum, in `unit`
  TimeNs ts = 0;
  double rate = 1;   // (0, 1]: share of events that were sampled
  Unit unit;         // empty name: none
  Meta meta;         // fields that are not indexed
  std::string data;  // Set: member. Sketch: metrics/sketch.h bytes. Event, ServiceCheck: text
  friend bool operator==(const Sample&, const Sample&) = default;
};

inline constexpr std::string_view kDefaultTimestampFormat = "%Y-%m-%dT%H:%M:%S.%fZ";

// One closed collector: everything a request (or a flush of handles) has measured, under one set of
// dimensions. `counters` holds Kind::Counter only, `timers` Kind::Timer only, `extra` the rest.
struct Metrics {
  Dims dims;
  std::vector<Sample> counters;
  std::vector<Sample> timers;
  std::vector<Sample> extra;
  std::string timestamp_format{kDefaultTimestampFormat};
  std::optional<std::string> serialized_at;  // as received; empty when never serialized

  [[nodiscard]] std::size_t sampleCount() const {
    return counters.size() + timers.size() + extra.size();
  }
  [[nodiscard]] bool empty() const { return sampleCount() == 0; }
  friend bool operator==(const Metrics&, const Metrics&) = default;
};

}  // namespace godwit::metrics
