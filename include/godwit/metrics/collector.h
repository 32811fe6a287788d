// Collector: gathers the measurements of one request or job. Names and semantics are Kadabra's.
//
// Counters of one name are summed and keep their first timestamp; timers, gauges and dimensions are
// overwritten. Metadata that is not empty replaces what was there, empty metadata leaves it. Any
// thread, any number at a time; moving needs exclusive access. After close() every call throws
// CollectorClosed, which is a mistake in the program; nothing else here throws but std::bad_alloc.
// NaN and infinities are refused and counted (Stats::dropped_nan).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "godwit/metrics/metrics.h"

namespace godwit::metrics {

class Client;
class ScopedTimer;

class CollectorClosed : public std::logic_error {
 public:
  CollectorClosed() : std::logic_error("the collector has been closed") {}
};

class Collector {
 public:
  // Without a client: no default dimensions, the default timestamp format.
  Collector();
  Collector(Collector&&) noexcept;
  Collector& operator=(Collector&&) noexcept;
  ~Collector();  // what was not closed and sent is discarded

  // Without `ts` the time is now, unique within the process (to the microsecond). With `ts` it is
  // taken as it is. `replace_timestamp` replaces the time of a counter that exists already.
  void add_count(std::string_view name, double value, std::optional<TimeNs> ts = {}, Meta meta = {},
                 bool replace_timestamp = false);
  void set_timer(std::string_view name, std::chrono::nanoseconds value,
                 const Unit& unit = Milliseconds, std::optional<TimeNs> ts = {}, Meta meta = {});
  void set_gauge(std::string_view name, double value, std::optional<TimeNs> ts = {});
  void set_dimension(std::string_view name, std::string_view value);

  // Measures until it goes out of scope. The collector must live and stay open as long; a timer
  // that ends on a closed collector is dropped.
  [[nodiscard]] ScopedTimer time(std::string_view name, const Unit& unit = Milliseconds);

  // What was gathered. The collector cannot be used afterwards.
  [[nodiscard]] Metrics close();
  [[nodiscard]] bool closed() const;

 private:
  friend class Client;
  struct State;
  explicit Collector(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class ScopedTimer {
 public:
  ScopedTimer(Collector& collector, std::string_view name, const Unit& unit)
      : collector_(&collector), name_(name), unit_(unit), start_(Clock::now()) {}
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;
  ~ScopedTimer() { stop(); }

  // Records now instead of at the end of the scope. Never throws.
  void stop() noexcept;
  void cancel() noexcept { collector_ = nullptr; }  // records nothing

 private:
  using Clock = std::chrono::steady_clock;
  Collector* collector_;
  std::string name_;
  const Unit unit_;
  Clock::time_point start_;
};

}  // namespace godwit::metrics
