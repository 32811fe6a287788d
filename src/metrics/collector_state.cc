#include "metrics/collector_state.h"

#include <utility>

namespace godwit::metrics {
namespace {

// A request has a collector, now and then one within it.
constexpr std::size_t kKept = 2;
// One that has grown beyond this goes back to the allocator.
constexpr std::size_t kMostSamples = 64;

}  // namespace

// The states a thread keeps. Trivial, so that a collector may end after its thread's other objects.
struct Collector::State::Kept {
  State* states[kKept] = {};
  std::size_t n = 0;
  bool ended = false;  // the thread is ending: nothing is kept any more
};

Collector::State::Kept& Collector::State::kept() {
  thread_local constinit Kept kept;
  return kept;
}

std::unique_ptr<Collector::State> Collector::State::make() {
  Kept& k = kept();
  if (k.n > 0) return std::unique_ptr<State>(k.states[--k.n]);
  return std::make_unique<State>();
}

void Collector::State::giveBack(std::unique_ptr<State> state) noexcept {
  if (!state) return;
  struct AtThreadEnd {
    ~AtThreadEnd() {
      Kept& k = kept();
      k.ended = true;
      while (k.n > 0) delete k.states[--k.n];
    }
    void exist() {}
  };
  Kept& k = kept();
  if (k.ended || k.n == kKept || !state->clear()) return;
  thread_local AtThreadEnd at_end;
  at_end.exist();
  k.states[k.n++] = state.release();
}

// False: not worth keeping.
bool Collector::State::clear() noexcept {
  for (const auto* list : {&metrics.counters, &metrics.timers, &metrics.extra}) {
    if (list->capacity() > kMostSamples) return false;
  }
  if (metrics.dims.capacity() > kMostSamples) return false;
  if (metrics.timestamp_format != kDefaultTimestampFormat) return false;
  core.reset();
  closed = false;
  metrics.dims.clear();
  metrics.counters.clear();
  metrics.timers.clear();
  metrics.extra.clear();
  metrics.serialized_at.reset();
  counters.clear();
  timers.clear();
  extra.clear();
  return true;
}

}  // namespace godwit::metrics
