// Deadline: a point on the monotonic clock by which something must have happened. Every wait in
// Godwit takes one. A value type; any thread.
#pragma once

#include <algorithm>
#include <chrono>

namespace godwit {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // Passes `d` from now; zero or negative has passed already.
  static Deadline after(Clock::duration d) { return Deadline(Clock::now() + d); }
  static Deadline at(Clock::time_point t) { return Deadline(t); }
  // Never passes. Only for waits that something else bounds; say what at the call.
  static Deadline never() { return Deadline(Clock::time_point::max()); }

  [[nodiscard]] bool isNever() const { return at_ == Clock::time_point::max(); }
  [[nodiscard]] bool expired() const { return !isNever() && Clock::now() >= at_; }
  [[nodiscard]] Clock::time_point when() const { return at_; }

  // Never negative.
  [[nodiscard]] Clock::duration remaining() const {
    if (isNever()) return Clock::duration::max();
    return std::max(Clock::duration::zero(), at_ - Clock::now());
  }

  // For poll(2) and friends: milliseconds rounded up, -1 for never.
  [[nodiscard]] int pollTimeoutMs() const {
    if (isNever()) return -1;
    auto ms = std::chrono::ceil<std::chrono::milliseconds>(remaining()).count();
    return static_cast<int>(std::min<long long>(ms, 1 << 30));
  }

  [[nodiscard]] Deadline earlier(Deadline other) const { return at_ < other.at_ ? *this : other; }
  friend bool operator==(Deadline, Deadline) = default;

 private:
  explicit Deadline(Clock::time_point t) : at_(t) {}
  Clock::time_point at_;
};

}  // namespace godwit
