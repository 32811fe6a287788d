#include "kinto/server_metrics.h"

namespace godwit::kinto {

ServerMetrics::ServerMetrics(const std::string& spool) {
  if (spool.empty()) return;
  metrics::Options options;
  options.spool_dir = spool;
  options.default_dimensions = {{"app", "godwit"}};
  client_ = std::make_unique<metrics::Client>(std::move(options));
  read_time_ = &client_->timer("StorageTime", {{"mode", "read"}});
  write_time_ = &client_->timer("StorageTime", {{"mode", "write"}});
}

const ServerMetrics::Handles& ServerMetrics::handlesOf(std::string_view route,
                                                       std::string_view method) {
  thread_local std::string key;
  key.assign(method).append(" ").append(route);
  std::lock_guard lock(mu_);
  auto it = handles_.find(key);
  if (it != handles_.end()) return it->second;
  metrics::Dims dims = {{"endpoint", std::string(route)}, {"method", std::string(method)}};
  Handles h;
  h.requests = &client_->counter("Requests", dims);
  h.client_errors = &client_->counter("ClientError", dims);
  h.failures = &client_->counter("Failure", dims);
  h.time = &client_->timer("RequestTime", dims);
  return handles_.emplace(key, h).first->second;
}

void ServerMetrics::record(const http::RequestSample& sample) {
  if (sample.route == kAdminRoute) return;
  Outcome outcome = sample.failure()       ? Outcome::kFailure
                    : sample.clientError() ? Outcome::kClientError
                                           : Outcome::kGood;
  requests_.add(std::chrono::steady_clock::now(), sample.request_time, outcome);
  if (!client_) return;
  const Handles& h = handlesOf(sample.route.empty() ? "none" : sample.route, sample.method);
  h.requests->inc();
  if (sample.failure()) h.failures->inc();
  if (sample.clientError()) h.client_errors->inc();
  h.time->record(sample.request_time);
}

void ServerMetrics::recordStorage(store::Mode mode, std::chrono::nanoseconds took, bool failed) {
  bool write = mode == store::Mode::kWrite;
  (write ? writes_ : reads_)
      .add(std::chrono::steady_clock::now(), took, failed ? Outcome::kFailure : Outcome::kGood);
  if (client_) (write ? write_time_ : read_time_)->record(took);
}

}  // namespace godwit::kinto
