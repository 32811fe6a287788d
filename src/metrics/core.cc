#include "metrics/core.h"

#include <algorithm>
#include <exception>

#include "metrics/fork_guard.h"
#include "metrics/metrics_binary.h"

namespace godwit::metrics::detail {
namespace {

constexpr std::size_t kSamplesPerFlushFrame = 1000;
constexpr char kOverflowName[] = "godwit_overflow";

spool::WriterOptions writerOptions(const Options& o) {
  spool::WriterOptions w;
  w.dir = o.spool_dir;
  w.segment_size = o.segment_size;
  w.limits = {o.max_bytes, o.max_lane_bytes, o.min_free};
  w.policy = o.on_full == OnFull::DropNewest ? spool::DropPolicy::kDropNewest
             : o.on_full == OnFull::Block    ? spool::DropPolicy::kBlock
                                             : spool::DropPolicy::kDropOldest;
  w.block_timeout = o.block_timeout;
  w.ring_bytes = o.ring_bytes;
  w.frame_flags = o.channel == Channel::Redis ? spool::kForwardToRedis : std::uint8_t{0};
  return w;
}

SendResult toResult(spool::AppendStatus s) {
  switch (s) {
    case spool::AppendStatus::kSpooled:
      return SendResult::Spooled;
    case spool::AppendStatus::kBuffered:
      return SendResult::Buffered;
    case spool::AppendStatus::kDropped:
      break;
  }
  return SendResult::Dropped;
}

template <class Map, class Make>
auto& findOrMake(Map& map, std::string_view name, Make make) {
  const auto it = map.find(name);
  return it != map.end() ? *it->second : *map.emplace(name, make()).first->second;
}

}  // namespace

std::size_t threadShard() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t shard = next.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}

Core::Core(Options o, StampClock& c)
    : options(std::move(o)), clock(c), writer(writerOptions(options), c) {
  guardFork(*this);
}

Core::~Core() { unguardFork(*this); }

SendResult Core::send(const Metrics& m) noexcept {
  const std::size_t samples = m.sampleCount();
  if (samples == 0) return SendResult::Spooled;  // nothing that could be lost
  const std::size_t size = encodedSize(m);
  if (size > spool::kMaxPayload || samples > spool::kMaxSamplesPerFrame) {
    writer.countDropped(spool::DropReason::kOversize, 1, samples);
    return SendResult::Dropped;
  }
  // A request takes some hundred bytes; only larger ones cost an allocation.
  std::array<char, 2048> small;
  if (size <= small.size()) {
    encodeMetrics(m, 0, small.data());
    return sendEncoded({small.data(), size}, samples);
  }
  try {
    return sendEncoded(encodeMetrics(m), samples);
  } catch (const std::exception&) {
    writer.countDropped(spool::DropReason::kUnavailable, 1, samples);
    return SendResult::Dropped;
  }
}

SendResult Core::sendEncoded(std::string_view payload, std::size_t samples) noexcept {
  return toResult(writer.append(spool::FrameType::kMetrics, static_cast<std::uint16_t>(samples),
                                payload, 0, true));
}

Core::Group& Core::group(const Dims& dims) {
  Dims all = options.default_dimensions;
  for (const auto& given : dims) {
    const auto it =
        std::find_if(all.begin(), all.end(), [&](auto& d) { return d.first == given.first; });
    if (it != all.end()) {
      it->second = given.second;
    } else {
      all.push_back(given);
    }
  }
  Dims key = all;
  std::sort(key.begin(), key.end());
  Group& g = groups[std::move(key)];
  if (g.dims.empty()) g.dims = std::move(all);
  return g;
}

bool Core::takesMore() {
  if (handles >= options.max_handles) return false;
  ++handles;
  return true;
}

Counter& Core::counter(std::string_view name, const Dims& dims) {
  ensureFlusher();
  const std::lock_guard guard(handles_lock);
  const auto make = [&](std::string_view called) {
    auto state = std::make_unique<CounterState>();
    state->core = this;
    state->name = called;
    return std::make_unique<Counter>(std::move(state));
  };
  Group& g = group(dims);
  if (const auto it = g.counters.find(name); it != g.counters.end()) return *it->second;
  if (takesMore()) return findOrMake(g.counters, name, [&] { return make(name); });
  return findOrMake(groups[{}].counters, kOverflowName, [&] { return make(kOverflowName); });
}

Timer& Core::timer(std::string_view name, const Dims& dims, const Unit& unit) {
  ensureFlusher();
  const std::lock_guard guard(handles_lock);
  const auto make = [&](std::string_view called) {
    auto state = std::make_unique<TimerState>();
    state->core = this;
    state->name = called;
    state->unit = unit;
    return std::make_unique<Timer>(std::move(state));
  };
  Group& g = group(dims);
  if (const auto it = g.timers.find(name); it != g.timers.end()) return *it->second;
  if (takesMore()) return findOrMake(g.timers, name, [&] { return make(name); });
  return findOrMake(groups[{}].timers, kOverflowName, [&] { return make(kOverflowName); });
}

Gauge& Core::gauge(std::string_view name, const Dims& dims) {
  ensureFlusher();
  const std::lock_guard guard(handles_lock);
  const auto make = [&](std::string_view called) {
    auto state = std::make_unique<GaugeState>();
    state->core = this;
    state->name = called;
    return std::make_unique<Gauge>(std::move(state));
  };
  Group& g = group(dims);
  if (const auto it = g.gauges.find(name); it != g.gauges.end()) return *it->second;
  if (takesMore()) return findOrMake(g.gauges, name, [&] { return make(name); });
  return findOrMake(groups[{}].gauges, kOverflowName, [&] { return make(kOverflowName); });
}

void Core::emit(Metrics& m) {
  send(m);
  m.counters.clear();
  m.extra.clear();
}

void Core::collect(Group& g, Metrics& m) {
  const auto stamp = [&](std::vector<Sample>& list, const std::string& name, Kind kind) -> Sample& {
    if (m.sampleCount() >= kSamplesPerFlushFrame) emit(m);
    Sample& s = list.emplace_back();
    s.name = name;
    s.kind = kind;
    s.ts = clock.uniqueUs() * 1000;
    return s;
  };
  for (auto& [name, handle] : g.counters) {
    double sum = 0;
    bool used = false;
    for (auto& shard : handle->state_->shards) {
      used |= shard.used.exchange(false, std::memory_order_relaxed);
      sum += shard.sum.exchange(0, std::memory_order_relaxed);
    }
    if (used || sum != 0) stamp(m.counters, handle->state_->name, Kind::Counter).value = sum;
  }
  for (auto& [name, handle] : g.timers) {
    Sketch all;
    for (auto& shard : handle->state_->shards) {
      const std::lock_guard guard(shard.lock);
      if (shard.sketch.empty()) continue;
      all.merge(shard.sketch);
      shard.sketch.clear();
    }
    if (all.empty()) continue;
    Sample& s = stamp(m.extra, handle->state_->name, Kind::Sketch);
    s.value = all.sum();
    s.unit = handle->state_->unit;
    all.appendTo(s.data);
  }
  for (auto& [name, handle] : g.gauges) {
    if (!handle->state_->used.exchange(false, std::memory_order_acquire)) continue;
    stamp(m.extra, handle->state_->name, Kind::Gauge).value =
        handle->state_->value.load(std::memory_order_relaxed);
  }
}

void Core::flushHandles() noexcept {
  const std::lock_guard guard(handles_lock);
  try {
    for (auto& [key, g] : groups) {
      Metrics m;
      m.dims = g.dims;
      m.timestamp_format = options.timestamp_format;
      collect(g, m);
      emit(m);
    }
  } catch (const std::exception&) {
    // Out of memory: what was taken from the shards by now is lost with one group.
    writer.countDropped(spool::DropReason::kUnavailable, 0, 1);
  }
}

void Core::startFlusher() noexcept {
  const std::lock_guard guard(handles_lock);
  if (flusher_runs.load(std::memory_order_relaxed) || closed.load()) return;
  try {
    flusher = Flusher::start(options.flush_interval, [this] { flushHandles(); });
  } catch (const std::exception&) {
  }
  // Without a thread flush() and the destructor remain; asking at each use would not help.
  flusher_runs.store(true, std::memory_order_relaxed);
}

void Core::stopFlusher() noexcept {
  closed.store(true);
  std::unique_ptr<Flusher> f;
  {
    const std::lock_guard guard(handles_lock);
    f = std::move(flusher);
  }
}

void Core::beforeFork() noexcept {
  handles_lock.lock();
  for (auto& [key, g] : groups) {
    for (auto& [name, t] : g.timers) {
      for (auto& shard : t->state_->shards) shard.lock.lock();
    }
  }
  writer.beforeFork();
}

void Core::afterForkInParent() noexcept {
  writer.afterForkInParent();
  for (auto& [key, g] : groups) {
    for (auto& [name, t] : g.timers) {
      for (auto& shard : t->state_->shards) shard.lock.unlock();
    }
  }
  handles_lock.unlock();
}

void Core::afterForkInChild() noexcept {
  writer.afterForkInChild();
  for (auto& [key, g] : groups) {
    for (auto& [name, c] : g.counters) {
      for (auto& shard : c->state_->shards) {
        shard.sum.store(0, std::memory_order_relaxed);
        shard.used.store(false, std::memory_order_relaxed);
      }
    }
    for (auto& [name, t] : g.timers) {
      for (auto& shard : t->state_->shards) {
        shard.lock.reset();
        shard.sketch.clear();
      }
    }
    for (auto& [name, gauge] : g.gauges) {
      gauge->state_->used.store(false, std::memory_order_relaxed);
    }
  }
  // The thread stayed behind; its object cannot be joined and is given up.
  static_cast<void>(flusher.release());
  flusher_runs.store(false, std::memory_order_relaxed);
  handles_lock.reset();
}

}  // namespace godwit::metrics::detail
