#include "godwit/metrics/instruments.h"

#include <cmath>
#include <exception>
#include <mutex>

#include "metrics/core.h"

namespace godwit::metrics {

Counter::Counter(std::unique_ptr<detail::CounterState> state) : state_(std::move(state)) {}
Counter::~Counter() = default;

void Counter::inc(double by) noexcept {
  if (!std::isfinite(by)) return state_->core->refuse(1);
  state_->core->ensureFlusher();
  auto& shard = state_->shards[detail::threadShard()];
  double now = shard.sum.load(std::memory_order_relaxed);
  while (!shard.sum.compare_exchange_weak(now, now + by, std::memory_order_relaxed)) {
  }
  shard.used.store(true, std::memory_order_relaxed);
}

Timer::Timer(std::unique_ptr<detail::TimerState> state) : state_(std::move(state)) {}
Timer::~Timer() = default;

void Timer::record(std::chrono::nanoseconds value) noexcept {
  state_->core->ensureFlusher();
  auto& shard = state_->shards[detail::threadShard()];
  const double v = static_cast<double>(value.count()) / 1e9 * state_->unit.per_second;
  const std::lock_guard guard(shard.lock);
  try {
    shard.sketch.add(v);
  } catch (const std::exception&) {
    // No memory for a bin; counted below the lock's scope would need a second branch.
    state_->core->refuse(1);
  }
}

Gauge::Gauge(std::unique_ptr<detail::GaugeState> state) : state_(std::move(state)) {}
Gauge::~Gauge() = default;

void Gauge::set(double value) noexcept {
  if (!std::isfinite(value)) return state_->core->refuse(1);
  state_->core->ensureFlusher();
  state_->value.store(value, std::memory_order_relaxed);
  state_->used.store(true, std::memory_order_release);
}

void Gauge::add(double by) noexcept {
  if (!std::isfinite(by)) return state_->core->refuse(1);
  state_->core->ensureFlusher();
  double now = state_->value.load(std::memory_order_relaxed);
  while (!state_->value.compare_exchange_weak(now, now + by, std::memory_order_relaxed)) {
  }
  state_->used.store(true, std::memory_order_release);
}

}  // namespace godwit::metrics
