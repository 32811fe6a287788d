#include "kinto/measured_backend.h"

namespace godwit::kinto {

store::Done MeasuredBackend::measured(store::Mode mode, store::Done done) {
  auto& waiting = waiting_[mode == store::Mode::kWrite ? 1 : 0];
  waiting.fetch_add(1, std::memory_order_relaxed);
  auto began = std::chrono::steady_clock::now();
  return [this, mode, began, &waiting, done = std::move(done)](Result<store::Verdict> verdict) {
    waiting.fetch_sub(1, std::memory_order_relaxed);
    // A unit that is run again as a write is no failure.
    bool failed = !verdict.ok() && verdict.error().code != ErrorCode::kNeedsWrite;
    metrics_.recordStorage(mode, std::chrono::steady_clock::now() - began, failed);
    done(std::move(verdict));
  };
}

void MeasuredBackend::run(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
                          store::Done done) {
  inner_.run(mode, home, deadline, std::move(work), measured(mode, std::move(done)));
}

void MeasuredBackend::runNearby(store::Mode mode, Reactor& home, Deadline deadline,
                                store::Work work, store::Done done) {
  inner_.runNearby(mode, home, deadline, std::move(work), measured(mode, std::move(done)));
}

}  // namespace godwit::kinto
