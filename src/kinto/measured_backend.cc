#include "kinto/measured_backend.h"

namespace godwit::kinto {

void MeasuredBackend::run(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
                          store::Done done) {
  auto& waiting = waiting_[mode == store::Mode::kWrite ? 1 : 0];
  waiting.fetch_add(1, std::memory_order_relaxed);
  auto began = std::chrono::steady_clock::now();
  auto measured = [this, mode, began, &waiting,
                   done = std::move(done)](Result<store::Verdict> verdict) {
    waiting.fetch_sub(1, std::memory_order_relaxed);
    // A unit that is run again as a write is no failure.
    bool failed = !verdict.ok() && verdict.error().code != ErrorCode::kNeedsWrite;
    metrics_.recordStorage(mode, std::chrono::steady_clock::now() - began, failed);
    done(std::move(verdict));
  };
  inner_.run(mode, home, deadline, std::move(work), std::move(measured));
}

}  // namespace godwit::kinto
