#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "godwit/metrics/client.h"
#include "metrics/flusher.h"
#include "metrics/futex_lock.h"
#include "metrics/sketch.h"
#include "metrics/spool_writer.h"
#include "metrics/stamp_clock.h"

// What a Client, its collectors and its handles share.
namespace godwit::metrics::detail {

inline constexpr std::size_t kShards = 8;
// Threads are numbered as they come; two on one shard are slower, not wrong.
std::size_t threadShard();

struct CounterState {
  Core* core = nullptr;
  std::string name;
  struct alignas(64) Shard {
    std::atomic<double> sum{0};
    std::atomic<bool> used{false};
  };
  std::array<Shard, kShards> shards;
};

struct TimerState {
  Core* core = nullptr;
  std::string name;
  Unit unit;
  struct alignas(64) Shard {
    FutexLock lock;
    Sketch sketch;  // guarded by lock
  };
  std::array<Shard, kShards> shards;
};

struct GaugeState {
  Core* core = nullptr;
  std::string name;
  std::atomic<double> value{0};
  std::atomic<bool> used{false};
};

struct Core : std::enable_shared_from_this<Core> {
  Core(Options o, StampClock& c);
  ~Core();

  SendResult send(const Metrics& m) noexcept;
  SendResult sendEncoded(std::string_view payload, std::size_t samples) noexcept;
  void refuse(std::uint64_t samples) noexcept {
    writer.countDropped(spool::DropReason::kNan, 0, samples);
  }
  void flushHandles() noexcept;

  Counter& counter(std::string_view name, const Dims& dims);
  Timer& timer(std::string_view name, const Dims& dims, const Unit& unit);
  Gauge& gauge(std::string_view name, const Dims& dims);

  // Called with every use of a handle; starts the flusher, also in a child.
  void ensureFlusher() noexcept {
    if (!flusher_runs.load(std::memory_order_relaxed)) [[unlikely]]
      startFlusher();
  }
  void startFlusher() noexcept;
  void stopFlusher() noexcept;

  void beforeFork() noexcept;
  void afterForkInParent() noexcept;
  void afterForkInChild() noexcept;

  // All handles with the same dimensions: they share frames.
  struct Group {
    Dims dims;
    std::map<std::string, std::unique_ptr<Counter>, std::less<>> counters;
    std::map<std::string, std::unique_ptr<Timer>, std::less<>> timers;
    std::map<std::string, std::unique_ptr<Gauge>, std::less<>> gauges;
  };
  Group& group(const Dims& dims);
  bool takesMore();
  void collect(Group& g, Metrics& m);
  void emit(Metrics& m);

  // Set once
  const Options options;
  StampClock& clock;
  spool::SpoolWriter writer;

  std::atomic<bool> flusher_runs{false};
  std::atomic<bool> closed{false};
  FutexLock handles_lock;
  // Guarded by handles_lock
  std::map<Dims, Group> groups;
  std::size_t handles = 0;
  std::unique_ptr<Flusher> flusher;
};

}  // namespace godwit::metrics::detail
