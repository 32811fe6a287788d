#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "godwit/metrics/collector.h"
#include "metrics/core.h"
#include "metrics/futex_lock.h"
#include "metrics/name_index.h"
#include "metrics/spool_format.h"

namespace godwit::metrics {

struct Collector::State {
  std::shared_ptr<detail::Core> core;  // null: a collector without a client
  FutexLock lock;
  // Guarded by lock
  bool closed = false;
  Metrics metrics;
  NameIndex counters;
  NameIndex timers;
  NameIndex extra;

  // One that is empty and open, if possible with the memory of a former one.
  static std::unique_ptr<State> make();
  static void giveBack(std::unique_ptr<State> state) noexcept;
  bool clear() noexcept;
  struct Kept;
  static Kept& kept();

  StampClock& clock() const { return core ? core->clock : StampClock::system(); }
  void mustBeOpen() const {
    if (closed) [[unlikely]]
      throw CollectorClosed();
  }
  void refused(spool::DropReason why) const noexcept {
    if (core) core->writer.countDropped(why, 0, 1);
  }
  void stamp(Sample& s, std::optional<TimeNs> ts);
  Sample* sample(std::vector<Sample>& list, NameIndex& index, std::string_view name, Kind kind,
                 bool& is_new);
};

}  // namespace godwit::metrics
