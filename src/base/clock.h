#pragma once

#include <atomic>
#include <cstdint>

namespace godwit {

// Wall-clock time behind a seam, so that tests can step it. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::int64_t nowNs() const = 0;  // Unix time
  [[nodiscard]] std::int64_t nowMs() const { return nowNs() / 1'000'000; }

  static const Clock& system();
};

class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t start_ns) : ns_(start_ns) {}
  [[nodiscard]] std::int64_t nowNs() const override { return ns_.load(std::memory_order_relaxed); }
  void advanceNs(std::int64_t d) { ns_.fetch_add(d, std::memory_order_relaxed); }
  void setNs(std::int64_t t) { ns_.store(t, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> ns_;
};

}  // namespace godwit
