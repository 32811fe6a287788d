#include "store/postgresql/ride.h"

#include <algorithm>

namespace godwit::store::postgresql {

namespace {

using namespace std::chrono_literals;

// What a unit may wait for those behind it: at most so many, beginning at most so long after it.
constexpr unsigned kMaxUnits = 32;
constexpr auto kMaxBoarding = 50ms;

}  // namespace

struct Lines::Turn {
  Waiter& waiter;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) { waiter.handle = h; }
  void await_resume() const {}
};

Task<Result<std::shared_ptr<Ride>>> Lines::board(const Ref& ref, Deadline deadline,
                                                 int timeout_ms) {
  std::string key = keyOf(ref);
  auto [it, free] = lines_.try_emplace(key);
  if (!free) {
    Waiter waiter{timeout_ms, {}, nullptr, false};
    it->second.push_back(&waiter);
    auto expire = [this, &key, &waiter] {
      auto line = lines_.find(key);
      if (line == lines_.end() || waiter.ride) return;
      if (std::erase(line->second, &waiter) == 0) return;
      waiter.late = true;
      pool_.resumeSoon(waiter.handle);
    };
    auto timer = pool_.loop().timer(deadline, std::move(expire));
    Turn turn{waiter};
    co_await turn;
    timer.reset();
    if (waiter.late) {
      co_return Error(ErrorCode::kTimeout, "The database did not answer in time",
                      "too many writers to one list");
    }
    ++waiter.ride->units;
    co_return std::move(waiter.ride);
  }
  auto ride = std::make_shared<Ride>();
  ride->timeout_ms = timeout_ms;
  ride->units = 1;
  co_return ride;
}

bool Lines::mayHandOn(const Ref& ref, const Ride& ride) {
  auto it = lines_.find(keyOf(ref));
  return it != lines_.end() && !it->second.empty() && ride.units < kMaxUnits &&
         (ride.riders.empty() || Deadline::Clock::now() - ride.began < kMaxBoarding) &&
         it->second.front()->timeout_ms == ride.timeout_ms;
}

void Lines::handOn(const Ref& ref, std::shared_ptr<Ride> ride) {
  auto& line = lines_.find(keyOf(ref))->second;
  Waiter* next = line.front();
  line.pop_front();
  next->ride = std::move(ride);
  pool_.resumeSoon(next->handle);
}

void Lines::leave(const Ref& ref) {
  auto it = lines_.find(keyOf(ref));
  if (it == lines_.end()) return;
  if (it->second.empty()) {
    lines_.erase(it);
    return;
  }
  auto ride = std::make_shared<Ride>();
  ride->timeout_ms = it->second.front()->timeout_ms;
  handOn(ref, std::move(ride));
}

void Lines::resume(Ride::Rider& rider) {
  rider.done = true;
  if (rider.waiter) pool_.resumeSoon(std::exchange(rider.waiter, {}));
}

}  // namespace godwit::store::postgresql
