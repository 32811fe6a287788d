#include "godwit/metrics/client.h"

#include <exception>
#include <mutex>

#include "metrics/collector_state.h"
#include "metrics/core.h"
#include "metrics/metrics_binary.h"

namespace godwit::metrics {

Client::Client(Options options)
    : core_(std::make_shared<detail::Core>(std::move(options), StampClock::system())) {}

Client::~Client() {
  core_->stopFlusher();
  core_->flushHandles();
  core_->writer.close();
}

Collector Client::metrics() {
  auto state = Collector::State::make();
  state->core = core_;
  state->metrics.dims = core_->options.default_dimensions;
  if (core_->options.timestamp_format != kDefaultTimestampFormat) {
    state->metrics.timestamp_format = core_->options.timestamp_format;
  }
  return Collector(std::move(state));
}

SendResult Client::send(Metrics&& metrics) noexcept {
  const Metrics mine = std::move(metrics);
  return core_->send(mine);
}

SendResult Client::send(Collector& collector) {
  Collector::State& state = *collector.state_;
  {
    const std::lock_guard guard(state.lock);
    state.mustBeOpen();
    state.closed = true;
  }
  // Nobody changes a closed one, so it stays where it is, and so does its memory.
  return core_->send(state.metrics);
}

Counter& Client::counter(std::string_view name, const Dims& dims) {
  return core_->counter(name, dims);
}
Timer& Client::timer(std::string_view name, const Dims& dims, const Unit& unit) {
  return core_->timer(name, dims, unit);
}
Gauge& Client::gauge(std::string_view name, const Dims& dims) { return core_->gauge(name, dims); }

bool Client::flush(Deadline deadline) noexcept {
  if (!deadline.expired()) {
    core_->flushHandles();
    core_->writer.flushRing();
  }
  return core_->writer.buffered() == 0;
}

Stats Client::stats() const {
  using spool::DropReason;
  const spool::WriterStats w = core_->writer.stats();
  const auto dropped = [&](DropReason r) { return w.dropped_samples[static_cast<std::size_t>(r)]; };
  Stats s;
  s.frames = w.frames;
  s.samples = w.samples;
  s.bytes = w.bytes;
  s.dropped_full = dropped(DropReason::kSpoolFull);
  s.dropped_oversize = dropped(DropReason::kOversize);
  s.dropped_nan = dropped(DropReason::kNan);
  s.dropped_unavailable = dropped(DropReason::kUnavailable);
  s.buffered_frames = w.buffered_frames;
  s.spool_unavailable = w.spool_unavailable;
  s.lane_bytes = w.lane_bytes;
  s.ts_ahead_us = w.ts_ahead_us;
  s.lane = w.lane;
  s.last_error = w.last_error;
  {
    const std::lock_guard guard(core_->handles_lock);
    s.handles = core_->handles;
  }
  return s;
}

TimeNs Client::uniqueNow() noexcept { return core_->clock.uniqueUs() * 1000; }

SendResult Client::sendEncoded(std::string_view metrics_binary) noexcept {
  try {
    thread_local Metrics scratch;
    if (decodeMetrics(metrics_binary, scratch).ok()) {
      if (scratch.empty()) return SendResult::Spooled;
      if (scratch.sampleCount() <= spool::kMaxSamplesPerFrame) {
        return core_->sendEncoded(metrics_binary, scratch.sampleCount());
      }
    }
  } catch (const std::exception&) {
  }
  core_->writer.countDropped(spool::DropReason::kOversize, 1, peekSampleCount(metrics_binary));
  return SendResult::Dropped;
}

void Client::countRefused(std::uint64_t samples) noexcept { core_->refuse(samples); }

}  // namespace godwit::metrics
