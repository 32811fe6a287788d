#include "kinto/plugins/metrics.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/plugins/prometheus_registry.h"
#include "kinto/plugins/statsd_client.h"
#include "kinto/plugins/store_meter.h"

namespace godwit::kinto {
namespace {

constexpr std::chrono::milliseconds kFlushEvery{1000};

// A parameter of the path as Kinto labels it: the id of an object endpoint is "<resource>_id".
std::string_view labelOf(const Call& call, const std::string& field) {
  if (call.params.has(field)) return call.params.get(field);
  if (!call.route || !call.route->resource || !call.params.has("id")) return {};
  const std::string& resource = call.route->resource->name;
  bool own =
      field.size() == resource.size() + 3 && field.starts_with(resource) && field.ends_with("_id");
  return own ? call.params.get("id") : std::string_view();
}

// What both services record of a request.
void record(MetricsService& service, const std::vector<std::string>& fields, const Call& call) {
  constexpr std::size_t kMaxFields = 16;
  std::array<Label, kMaxFields + 3> labels;
  std::size_t n = 0;
  std::string method = lower(call.method_name);
  labels[n++] = {"method", method};
  std::string_view endpoint = call.route                  ? std::string_view(call.route->name)
                              : call.answer.status == 404 ? "unknown"
                                                          : "unnamed";
  labels[n++] = {"endpoint", endpoint};
  for (const std::string& field : fields) {
    if (n == kMaxFields + 2) break;
    // Arbitrary values of failed requests must not become series.
    labels[n++] = {field, call.answer.status >= 400 ? std::string_view() : labelOf(call, field)};
  }
  Labels request(labels.data(), n);
  std::int64_t ms = call.exchange.tookMs();
  service.time("request_duration_seconds", static_cast<double>(ms) / 1000, request);
  service.observe("request_size", static_cast<double>(call.answer.body.size()), request);
  std::string status = std::to_string(call.answer.status);
  labels[n] = {"status", status};
  service.count("request_summary", 1, Labels(labels.data(), n + 1));
  if (!call.identity) return;
  const auth::Identity& who = *call.identity;
  std::string user;
  for (char c : who.user) user += c == ':' ? '.' : c;
  Label users[] = {{"auth", who.policy}, {"userid", user}};
  service.count("users", 1, users);
  Label type[] = {{"type", who.policy}};
  service.count("authentication", 1, type);
}

void appendGauges(std::string& out, const std::vector<Gauge>& gauges) {
  std::string_view last;
  for (const Gauge& gauge : gauges) {
    if (gauge.name != last) {
      out.append("# TYPE ").append(gauge.name).append(gauge.counter ? " counter\n" : " gauge\n");
    }
    last = gauge.name;
    out += gauge.name;
    if (!gauge.labels.empty()) out.append("{").append(gauge.labels).append("}");
    out.append(" ").append(std::to_string(gauge.read())).append("\n");
  }
}

std::vector<std::string> matchdictFields(const Config& config) {
  std::vector<std::string> fields = config.list("metrics_matchdict_fields");
  if (fields.empty()) fields = {"bucket_id", "collection_id", "group_id", "record_id"};
  return fields;
}

class PrometheusPlugin final : public Plugin {
 public:
  explicit PrometheusPlugin(StoreMeter* meter) : meter_(meter) {}

  [[nodiscard]] std::string name() const override { return "prometheus"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered | kTimesStores; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    fields_ = matchdictFields(config);
    PrometheusRegistry::Options options;
    options.prefix = config.raw.contains("prometheus_prefix") ? config.text("prometheus_prefix")
                                                              : config.project_name;
    options.disabled = config.list("prometheus_disabled_metrics");
    options.created = config.flag("prometheus_created_metrics_enabled", true);
    if (auto words = config.list("prometheus_histogram_buckets"); !words.empty()) {
      options.buckets.clear();
      for (const std::string& word : words) {
        if (word == "Inf" || word == "+Inf") continue;
        char* end = nullptr;
        double bound = std::strtod(word.c_str(), &end);
        if (*end != '\0') {
          return Error(ErrorCode::kInvalid,
                       "prometheus_histogram_buckets: \"" + word + "\" is not a number");
        }
        options.buckets.push_back(bound);
      }
    }
    registry_ = std::make_unique<PrometheusRegistry>(std::move(options));
    if (meter_) meter_->add(*registry_, false);
    setup.addCapability("prometheus", R"({"description":"Prometheus metrics.",)"
                                      R"("url":"https://github.com/Kinto/kinto/"})");
    auto route = std::make_unique<Route>();
    route->name = "metrics";
    route->pattern = "/__metrics__";
    route->methods = {"GET"};
    route->services[indexOf(http::Method::kGet)].now = [this](Call& call) {
      call.answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
      call.answer.body = registry_->text();
      appendGauges(call.answer.body, call.app().gauges());
    };
    setup.addRoute(std::move(route));
    return {};
  }

  void answered(const Call& call) const override { record(*registry_, fields_, call); }

 private:
  // Set once
  StoreMeter* const meter_;
  std::vector<std::string> fields_;
  std::unique_ptr<PrometheusRegistry> registry_;
};

class StatsdPlugin final : public Plugin {
 public:
  explicit StatsdPlugin(StoreMeter* meter) : meter_(meter) {}
  ~StatsdPlugin() override {
    {
      std::lock_guard lock(mu_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (flusher_.joinable()) flusher_.join();
  }

  [[nodiscard]] std::string name() const override { return "statsd"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered | kTimesStores; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    fields_ = matchdictFields(config);
    // The backend of the 2015-2016 releases goes with the names of their time.
    first_names_ = config.text("statsd_backend").find("cliquet") != std::string::npos;
    old_names_ = first_names_ || config.text("statsd_backend") == "kinto.core.statsd";
    std::string prefix =
        config.project_name.empty() ? config.text("statsd_prefix", "kinto") : config.project_name;
    auto client = StatsdClient::connect(config.text("statsd_url"), prefix);
    if (!client.ok()) {
      return Error(ErrorCode::kInvalid,
                   "statsd_url: \"" + config.text("statsd_url") + "\": " + client.error().message);
    }
    client_ = std::move(*client);
    if (meter_) meter_->add(*client_, old_names_);
    flusher_ = std::thread([this] { flushNowAndThen(); });
    return {};
  }

  void answered(const Call& call) const override {
    if (old_names_) return recordOld(call);
    record(*client_, fields_, call);
  }

 private:
  // Objects were called records in the first releases, and lists collections.
  [[nodiscard]] std::string nameOf(const Route& route) const {
    if (!first_names_ || !route.resource) return route.name;
    return route.resource->name + (route.kind == RouteKind::kPlural ? "-collection" : "-record");
  }

  // view.hello.GET, view.record-record.GET and the like, with authn_type and users.
  void recordOld(const Call& call) const {
    std::string view = "view." + (call.route ? nameOf(*call.route) : std::string("unknown")) + ".";
    view += call.method_name;
    client_->count(view, 1, {});
    std::int64_t ms = call.exchange.tookMs();
    client_->time(view, static_cast<double>(ms) / 1000, {});
    if (!call.identity) return;
    client_->count("authn_type." + call.identity->policy, 1, {});
    Label user[] = {{"", call.identity->user}};
    client_->count("users", 1, user);
  }

  void flushNowAndThen() {
    std::unique_lock lock(mu_);
    while (!wake_.wait_for(lock, kFlushEvery, [this] { return stopping_; })) client_->flush();
  }

  // Set once
  StoreMeter* const meter_;
  std::vector<std::string> fields_;
  std::unique_ptr<StatsdClient> client_;
  bool old_names_ = false;
  bool first_names_ = false;

  std::mutex mu_;
  // Guarded by mu_.
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread flusher_;
};

}  // namespace

std::unique_ptr<Plugin> makePrometheusPlugin(StoreMeter* meter) {
  return std::make_unique<PrometheusPlugin>(meter);
}
std::unique_ptr<Plugin> makeStatsdPlugin(StoreMeter* meter) {
  return std::make_unique<StatsdPlugin>(meter);
}

}  // namespace godwit::kinto
