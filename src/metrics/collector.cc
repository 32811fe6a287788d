#include "godwit/metrics/collector.h"

#include <cmath>
#include <exception>
#include <limits>
#include <mutex>

#include "metrics/collector_state.h"

namespace godwit::metrics {
namespace {

constexpr std::int64_t kNsPerUs = 1000;

double inUnit(std::chrono::nanoseconds t, const Unit& unit) {
  return static_cast<double>(t.count()) / 1e9 * unit.per_second;
}

}  // namespace

Collector::Collector() : state_(State::make()) {}
Collector::Collector(std::unique_ptr<State> state) : state_(std::move(state)) {}
Collector::Collector(Collector&&) noexcept = default;
Collector& Collector::operator=(Collector&& other) noexcept {
  if (this != &other) State::giveBack(std::exchange(state_, std::move(other.state_)));
  return *this;
}
Collector::~Collector() { State::giveBack(std::move(state_)); }

void Collector::State::stamp(Sample& s, std::optional<TimeNs> ts) {
  s.explicit_ts = ts.has_value();
  s.ts = ts ? *ts : clock().uniqueUs() * kNsPerUs;
}

// The sample of that name, new ones with name and kind only. nullptr: no room for another.
Sample* Collector::State::sample(std::vector<Sample>& list, NameIndex& index, std::string_view name,
                                 Kind kind, bool& is_new) {
  const std::uint32_t i = index.find(list, name);
  is_new = i == NameIndex::kNone;
  if (!is_new) return &list[i];
  if (metrics.sampleCount() >= spool::kMaxSamplesPerFrame) {
    refused(spool::DropReason::kOversize);
    return nullptr;
  }
  if (list.empty()) list.reserve(4);
  Sample& s = list.emplace_back();
  s.name = name;
  s.kind = kind;
  return &s;
}

void Collector::add_count(std::string_view name, double value, std::optional<TimeNs> ts, Meta meta,
                          bool replace_timestamp) {
  const std::lock_guard guard(state_->lock);
  state_->mustBeOpen();
  bool is_new = false;
  if (!std::isfinite(value)) return state_->refused(spool::DropReason::kNan);
  Sample* s =
      state_->sample(state_->metrics.counters, state_->counters, name, Kind::Counter, is_new);
  if (!s) return;
  if (!std::isfinite(s->value + value)) return state_->refused(spool::DropReason::kNan);
  s->value += value;
  if (is_new || replace_timestamp) state_->stamp(*s, ts);
  if (!meta.empty()) s->meta = std::move(meta);
}

void Collector::set_timer(std::string_view name, std::chrono::nanoseconds value, const Unit& unit,
                          std::optional<TimeNs> ts, Meta meta) {
  const double v = inUnit(value, unit);
  const std::lock_guard guard(state_->lock);
  state_->mustBeOpen();
  if (!std::isfinite(v)) return state_->refused(spool::DropReason::kNan);
  bool is_new = false;
  Sample* s = state_->sample(state_->metrics.timers, state_->timers, name, Kind::Timer, is_new);
  if (!s) return;
  s->value = v;
  if (!(s->unit == unit)) s->unit = unit;  // a string's copy costs more than its comparison
  state_->stamp(*s, ts);
  if (!meta.empty()) s->meta = std::move(meta);
}

void Collector::set_gauge(std::string_view name, double value, std::optional<TimeNs> ts) {
  const std::lock_guard guard(state_->lock);
  state_->mustBeOpen();
  if (!std::isfinite(value)) return state_->refused(spool::DropReason::kNan);
  bool is_new = false;
  Sample* s = state_->sample(state_->metrics.extra, state_->extra, name, Kind::Gauge, is_new);
  if (!s) return;
  s->value = value;
  state_->stamp(*s, ts);
}

void Collector::set_dimension(std::string_view name, std::string_view value) {
  const std::lock_guard guard(state_->lock);
  state_->mustBeOpen();
  Dims& dims = state_->metrics.dims;
  for (auto& [n, v] : dims) {
    if (n == name) {
      v = value;
      return;
    }
  }
  if (dims.empty()) dims.reserve(4);
  dims.emplace_back(name, value);
}

ScopedTimer Collector::time(std::string_view name, const Unit& unit) {
  return ScopedTimer(*this, name, unit);
}

Metrics Collector::close() {
  const std::lock_guard guard(state_->lock);
  state_->mustBeOpen();
  state_->closed = true;
  return std::move(state_->metrics);
}

bool Collector::closed() const {
  const std::lock_guard guard(state_->lock);
  return state_->closed;
}

void ScopedTimer::stop() noexcept {
  if (!collector_) return;
  const auto elapsed = Clock::now() - start_;
  try {
    collector_->set_timer(name_, elapsed, unit_);
  } catch (const std::exception&) {
    // Closed meanwhile, or out of memory: a timer must not take its program down.
  }
  collector_ = nullptr;
}

}  // namespace godwit::metrics
