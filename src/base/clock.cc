#include "base/clock.h"

#include <ctime>

namespace godwit {
namespace {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t nowNs() const override {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }
};

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

}  // namespace godwit
