#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "agent/distinct.h"
#include "metrics/sketch.h"

// A series of the aggregator. Plain values, one thread at a time.
namespace godwit::agent {

// In keys and saved states: values never change.
enum class StatsdKind : std::uint8_t { kCounter = 1, kGauge, kTimer, kHistogram, kSet };

inline constexpr std::int64_t kNoWindow = std::numeric_limits<std::int64_t>::min();

// Series of one name in a window.
struct StatsdName {
  std::size_t count = 0;
  std::int64_t window = kNoWindow;
};

struct StatsdSeries {
  std::string key;                   // series_key.h
  std::int64_t touched = kNoWindow;  // window
  double value = 0;
  StatsdKind kind{};
  bool known = false;  // a gauge that has a value
  std::unique_ptr<metrics::Sketch> sketch;
  std::unique_ptr<Distinct> members;
  StatsdName* name = nullptr;  // of an overflow series: none
};

}  // namespace godwit::agent
