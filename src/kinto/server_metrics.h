#pragma once

#include <chrono>
#include <string_view>

#include "godwit/http/metrics.h"
#include "kinto/rolling_window.h"
#include "store/backend.h"

namespace godwit::kinto {

// What the server measures of itself for the status page. What the agent gets is recorded by
// plugins/spool_metrics. Any thread.
class ServerMetrics final : public http::RequestMetrics {
 public:
  // Requests of this route belong to the admin listener and are not counted.
  static constexpr std::string_view kAdminRoute = "admin";

  void record(const http::RequestSample& sample) override;
  void recordStorage(store::Mode mode, std::chrono::nanoseconds took, bool failed);

  [[nodiscard]] const RollingWindow& requests() const { return requests_; }
  [[nodiscard]] const RollingWindow& reads() const { return reads_; }
  [[nodiscard]] const RollingWindow& writes() const { return writes_; }

 private:
  RollingWindow requests_, reads_, writes_;
};

}  // namespace godwit::kinto
