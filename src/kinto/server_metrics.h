#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "godwit/http/metrics.h"
#include "godwit/metrics/client.h"
#include "kinto/rolling_window.h"
#include "store/backend.h"

namespace godwit::kinto {

// What the server measures of itself: for the status page, and for the agent's spool when one is
// named. Any thread.
class ServerMetrics final : public http::RequestMetrics {
 public:
  // Requests of this route belong to the admin listener and are not counted.
  static constexpr std::string_view kAdminRoute = "admin";

  // `spool`: directory, or "" for none. What cannot be appended is counted there, never an error.
  explicit ServerMetrics(const std::string& spool);

  void record(const http::RequestSample& sample) override;
  void recordStorage(store::Mode mode, std::chrono::nanoseconds took, bool failed);

  [[nodiscard]] const RollingWindow& requests() const { return requests_; }
  [[nodiscard]] const RollingWindow& reads() const { return reads_; }
  [[nodiscard]] const RollingWindow& writes() const { return writes_; }

 private:
  struct Handles {
    metrics::Counter* requests = nullptr;
    metrics::Counter* client_errors = nullptr;
    metrics::Counter* failures = nullptr;
    metrics::Timer* time = nullptr;
  };
  // Endpoints and methods are few: the table does not grow beyond their product.
  const Handles& handlesOf(std::string_view route, std::string_view method);

  RollingWindow requests_, reads_, writes_;
  std::unique_ptr<metrics::Client> client_;  // null without a spool
  metrics::Timer* read_time_ = nullptr;
  metrics::Timer* write_time_ = nullptr;

  std::mutex mu_;
  // Guarded by mu_; by "METHOD route"; entries stay where they are.
  std::unordered_map<std::string, Handles> handles_;
};

}  // namespace godwit::kinto
