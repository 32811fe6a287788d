#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

namespace godwit::kinto {

enum class Outcome : std::uint8_t { kGood, kClientError, kFailure };

// How often something happened and how long it took, over the last minute, second by second.
// Memory is fixed (57 KiB). Any thread.
class RollingWindow {
 public:
  static constexpr int kKept = 60;    // whole seconds that are remembered
  static constexpr int kRecent = 10;  // what `Summary` is about

  struct Summary {
    double rate = 0;                         // per second
    double p50_ms = 0, p99_ms = 0;           // within 5 %
    double client_errors = 0, failures = 0;  // share of all, 0 to 1
    std::uint64_t count = 0;                 // in the window
    std::uint64_t total = 0;                 // since the start
    std::uint64_t total_failures = 0;
  };

  // `now` of a clock that does not go back.
  using Time = std::chrono::steady_clock::time_point;
  void add(Time now, std::chrono::nanoseconds took, Outcome outcome);
  // Of the last kRecent complete seconds, or those since the first add() when it is younger.
  [[nodiscard]] Summary summary(Time now) const;
  // Count of each of the last kKept complete seconds, oldest first.
  [[nodiscard]] std::vector<std::uint32_t> history(Time now) const;

 private:
  // Steps of a factor 2^(1/8) from 1 us to 134 s.
  static constexpr int kSteps = 8;
  static constexpr int kBuckets = 27 * kSteps + 1;
  static constexpr std::int64_t kRing = kKept + 2;

  struct Second {
    std::int64_t at = -1;
    std::uint32_t count = 0, client_errors = 0, failures = 0;
    std::array<std::uint32_t, kBuckets> buckets{};
  };

  [[nodiscard]] const Second* find(std::int64_t at) const;

  mutable std::mutex mu_;
  // Guarded by mu_
  std::vector<Second> ring_{static_cast<std::size_t>(kRing)};
  std::int64_t first_ = -1;
  std::uint64_t total_ = 0, total_failures_ = 0;
};

}  // namespace godwit::kinto
