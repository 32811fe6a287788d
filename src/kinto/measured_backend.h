#pragma once

#include <array>
#include <atomic>

#include "kinto/server_metrics.h"
#include "store/backend.h"

namespace godwit::kinto {

// A backend that tells ServerMetrics how long each unit of work took, from run() to done. Both
// outlive it. Any thread, as the backend.
class MeasuredBackend final : public store::Backend {
 public:
  MeasuredBackend(store::Backend& inner, ServerMetrics& metrics)
      : inner_(inner), metrics_(metrics) {}

  [[nodiscard]] std::string name() const override { return inner_.name(); }
  void run(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
           store::Done done) override;
  void runNearby(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
                 store::Done done) override;
  void ping(Reactor& home, Deadline deadline, bool write, std::function<void(bool)> done) override {
    inner_.ping(home, deadline, write, std::move(done));
  }
  void stop(Deadline deadline) override { inner_.stop(deadline); }

  // Units that were handed over and are not done.
  [[nodiscard]] std::int64_t waitingReads() const { return waiting_[0].load(); }
  [[nodiscard]] std::int64_t waitingWrites() const { return waiting_[1].load(); }

 private:
  store::Done measured(store::Mode mode, store::Done done);

  store::Backend& inner_;
  ServerMetrics& metrics_;
  std::array<std::atomic<std::int64_t>, 2> waiting_{};
};

}  // namespace godwit::kinto
