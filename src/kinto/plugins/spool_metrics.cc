#include "kinto/plugins/spool_metrics.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "base/text.h"
#include "godwit/metrics/client.h"
#include "kinto/app.h"
#include "kinto/exchange.h"

namespace godwit::kinto {
namespace {

class SpoolMetrics final : public Plugin {
 public:
  explicit SpoolMetrics(std::string spool) : spool_(std::move(spool)) {}
  [[nodiscard]] std::string name() const override { return "spool_metrics"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered; }

  Result<void> setUp(Setup& setup) override {
    metrics::Options options;
    options.spool_dir = spool_;
    const std::string& project = setup.config().project_name;
    options.default_dimensions = {{"app", project.empty() ? "godwit" : project}};
    client_ = std::make_unique<metrics::Client>(std::move(options));
    return {};
  }

  void answered(const Call& call) const override {
    int status = call.answer.status;
    metrics::Collector m = client_->metrics();
    m.set_dimension("method", lower(call.method_name));
    m.set_dimension("endpoint", call.route ? std::string_view(call.route->name) : "unknown");
    m.set_dimension("status", std::to_string(status));
    m.set_timer("RequestTime", std::chrono::milliseconds(call.exchange.tookMs()));
    m.add_count("Failure", status >= 500 ? 1 : 0);
    m.add_count("ClientError", status >= 400 && status < 500 ? 1 : 0);
    client_->send(m);
  }

 private:
  // Set once
  std::string spool_;
  std::unique_ptr<metrics::Client> client_;
};

}  // namespace

std::string metricsSpool(const std::string& configured) {
  if (configured == "off") return {};
  if (!configured.empty()) return configured;
  if (const char* named = ::secure_getenv("GODWIT_SPOOL"); named && *named) return named;
  // Made by the packages. A server that somebody tries out leaves nothing in the home folder.
  const std::string system = "/var/lib/godwit/spool";
  return ::access(system.c_str(), R_OK | W_OK | X_OK) == 0 ? system : std::string();
}

std::unique_ptr<Plugin> makeSpoolMetrics(std::string spool) {
  return std::make_unique<SpoolMetrics>(std::move(spool));
}

}  // namespace godwit::kinto
