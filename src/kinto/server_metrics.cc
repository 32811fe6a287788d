#include "kinto/server_metrics.h"

namespace godwit::kinto {

void ServerMetrics::record(const http::RequestSample& sample) {
  if (sample.route == kAdminRoute) return;
  Outcome outcome = sample.failure()       ? Outcome::kFailure
                    : sample.clientError() ? Outcome::kClientError
                                           : Outcome::kGood;
  requests_.add(std::chrono::steady_clock::now(), sample.request_time, outcome);
}

void ServerMetrics::recordStorage(store::Mode mode, std::chrono::nanoseconds took, bool failed) {
  bool write = mode == store::Mode::kWrite;
  (write ? writes_ : reads_)
      .add(std::chrono::steady_clock::now(), took, failed ? Outcome::kFailure : Outcome::kGood);
}

}  // namespace godwit::kinto
