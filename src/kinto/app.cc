#include "kinto/app.h"

#include <algorithm>
#include <atomic>

#include "auth/basicauth_policy.h"
#include "base/encoding.h"
#include "base/random.h"
#include "base/text.h"
#include "kinto/builtin.h"
#include "kinto/openapi.h"
#include "kinto/resource_run.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

constexpr std::string_view kDisableAll =
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; \r\n"
    "X-Content-Type-Options: nosniff\r\n";
constexpr std::string_view kExposeUnrouted =
    "Access-Control-Expose-Headers: Backoff,Retry-After,Alert,Content-Length,Content-Type\r\n";
constexpr std::string_view kBasicAuthCapability =
    R"({"description":"Very basic authentication sessions. Not for production use.",)"
    R"("url":"http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html"})";

std::string alertJson(std::string_view code, std::string_view message, std::string_view url) {
  std::string out = "{\"code\":";
  json::dumpString(out, code);
  out += ",\"message\":";
  if (message.empty()) {
    out += "null";
  } else {
    json::dumpString(out, message);
  }
  out += ",\"url\":";
  json::dumpString(out, url);
  return out + "}";
}

}  // namespace

// Collects what core and plugins define, then compiles it.
class App::Builder final : public Setup {
 public:
  explicit Builder(App& app) : app_(app) {}

  [[nodiscard]] const Config& config() const override { return app_.config_; }
  store::Backend& backend() override { return *app_.parts_.backend; }
  store::Cache& cache() override { return *app_.parts_.cache; }

  Resource* own(Resource resource) {
    app_.resources_.push_back(std::make_unique<Resource>(std::move(resource)));
    return app_.resources_.back().get();
  }
  const Resource* addResource(Resource resource) override {
    Resource* added = own(std::move(resource));
    addRoutesOf(*added);
    return added;
  }
  Resource* resource(std::string_view name) override {
    for (auto& r : app_.resources_) {
      if (r->name == name) return r.get();
    }
    return nullptr;
  }
  void addRoute(std::unique_ptr<Route> route) override { routes_.push_back(std::move(route)); }
  void addCapability(std::string name, std::string json) override {
    capabilities_.emplace_back(std::move(name), std::move(json));
  }
  void addPublicSetting(std::string name, std::string json) override {
    settings_.emplace_back(std::move(name), std::move(json));
  }
  EventBus& events() override { return app_.events_; }
  void addGauge(Gauge gauge) override { app_.gauges_.push_back(std::move(gauge)); }
  void addSecurity(std::string name, std::string json) override {
    security_.emplace_back(std::move(name), std::move(json));
  }
  void addPolicy(std::string configured, std::unique_ptr<auth::Policy> policy) override {
    offered_.emplace_back(lower(configured), std::move(policy));
  }

  Result<void> build();

 private:
  void addRoutesOf(const Resource& resource);
  Result<void> choosePolicies();
  void makeHello();

  App& app_;
  std::vector<std::unique_ptr<Route>> routes_;
  std::vector<std::pair<std::string, std::string>> capabilities_;
  std::vector<std::pair<std::string, std::string>> settings_;
  std::vector<std::pair<std::string, std::string>> security_;
  std::vector<std::pair<std::string, std::unique_ptr<auth::Policy>>> offered_;
};

void App::Builder::addRoutesOf(const Resource& resource) {
  auto add = [&](RouteKind kind, const std::string& pattern,
                 const std::vector<std::string>& methods) {
    if (pattern.empty() || methods.empty()) return;
    auto route = std::make_unique<Route>();
    route->kind = kind;
    route->name = resource.name + (kind == RouteKind::kPlural ? "-plural" : "-object");
    route->pattern = pattern;
    route->resource = &resource;
    route->methods = methods;
    route->checks_accept = true;
    addRoute(std::move(route));
  };
  add(RouteKind::kPlural, resource.plural_path, resource.plural_methods);
  add(RouteKind::kObject, resource.object_path, resource.object_methods);
}

Result<void> App::Builder::choosePolicies() {
  for (const Config::PolicyConfig& wanted : app_.config_.policies) {
    std::string name = lower(wanted.name);
    auto offered = std::find_if(offered_.begin(), offered_.end(),
                                [&](const auto& p) { return p.second && p.first == name; });
    if (offered != offered_.end()) {
      app_.policies_.push_back(std::move(offered->second));
      continue;
    }
    bool basic = wanted.use.find("BasicAuthAuthenticationPolicy") != std::string::npos ||
                 (wanted.use.empty() && name == "basicauth");
    if (!basic) {
      return Error(ErrorCode::kInvalid, "multiauth.policies: no policy is known for \"" +
                                            wanted.name + "\" (use = " + wanted.use + ")");
    }
    app_.policies_.push_back(std::make_unique<auth::BasicAuthPolicy>(
        name, app_.config_.userid_hmac_secret, wanted.realm));
    addSecurity(wanted.name, R"({"type":"basic"})");
    if (wanted.name == "basicauth") {
      capabilities_.emplace_back("basicauth", std::string(kBasicAuthCapability));
    }
  }
  return {};
}

void App::Builder::makeHello() {
  const Config& c = app_.config_;
  static std::atomic<std::uint64_t> made{0};
  app_.hello_.serial = ++made;
  std::string& head = app_.hello_.head;
  head = "{\"project_name\":";
  json::dumpString(head, c.project_name);
  head += ",\"project_version\":";
  json::dumpString(head, c.project_version);
  head += ",\"http_api_version\":";
  json::dumpString(head, c.http_api_version);
  head += ",\"project_docs\":";
  json::dumpString(head, c.project_docs);
  head += ",\"url\":";
  std::string& middle = app_.hello_.middle;
  middle = ",\"config\":" + c.config_json;
  if (!c.eos.empty()) {
    middle += ",\"eos\":";
    json::dumpString(middle, c.eos);
  }
  middle += ",\"settings\":{\"batch_max_requests\":";
  middle += c.batch_max_requests ? std::to_string(*c.batch_max_requests) : "null";
  middle += std::string(",\"readonly\":") + (c.readonly ? "true" : "false");
  middle += std::string(",\"explicit_permissions\":") + (c.explicit_permissions ? "true" : "false");
  for (const auto& [name, json] : settings_) {
    middle += ',';
    json::dumpString(middle, name);
    middle += ":" + json;
  }
  middle += '}';
  std::string& tail = app_.hello_.tail;
  tail = ",\"capabilities\":{";
  for (const auto& [name, json] : capabilities_) {
    if (tail.back() != '{') tail += ',';
    json::dumpString(tail, name);
    tail += ":" + json;
  }
  tail += "}}";
}

Result<void> App::Builder::build() {
  const Config& c = app_.config_;
  Resource* bucket = own(makeBucket());
  Resource* group = own(makeGroup(*bucket));
  Resource* collection = own(makeCollection(*bucket));
  Resource* record = own(makeRecord(*collection));

  for (auto& plugin : app_.parts_.plugins) {
    GODWIT_TRY(plugin->setUp(*this));
    unsigned hooks = plugin->hooks();
    Plugin* p = plugin.get();
    if (hooks & Plugin::kPrepare) app_.preparing_.push_back(p);
    if (hooks & Plugin::kBeforeWrite) app_.before_write_.push_back(p);
    if (hooks & Plugin::kAfterWrite) app_.after_write_.push_back(p);
    if (hooks & Plugin::kBeforeCascade) app_.before_cascade_.push_back(p);
    if (hooks & Plugin::kBeforeCommit) app_.before_commit_.push_back(p);
    if (hooks & Plugin::kAnswered) app_.answered_.push_back(p);
    if (hooks & Plugin::kHello) app_.hello_user_.push_back(p);
  }
  GODWIT_TRY(choosePolicies());

  addRoute(makeHelloRoute());
  addRoute(makeHeartbeatRoute());
  addRoute(makeLbHeartbeatRoute());
  addRoute(makeVersionRoute(c));
  addRoute(makeOpenApiRoute());
  addRoute(makeContributeRoute());
  addRoute(makeBatchRoute());
  for (const Resource* r : {bucket, group, collection, record}) addRoutesOf(*r);

  // Parents come before their children.
  for (auto& r : app_.resources_) r->compile(c);
  for (auto& route : routes_) app_.router_.add(std::move(route), c);
  makeHello();
  app_.openapi_ = makeOpenApi(c, app_.router_.routes(), security_);

  if (!c.eos.empty() && !parseDate(c.eos, app_.eos_ms_)) {
    return Error(ErrorCode::kInvalid, "eos: \"" + c.eos + "\" is not a date like 2030-12-31");
  }
  app_.prefix_ = "/" + c.routePrefix();
  app_.any_origin_ =
      std::find(c.cors_origins.begin(), c.cors_origins.end(), "*") != c.cors_origins.end();
  app_.common_headers_ = kDisableAll;
  app_.expose_unrouted_ = kExposeUnrouted;
  return {};
}

App::App(Config config, Parts parts) : config_(std::move(config)), parts_(std::move(parts)) {}
App::~App() = default;

Result<std::unique_ptr<App>> App::make(Config config, Parts parts) {
  std::unique_ptr<App> app(new App(std::move(config), std::move(parts)));
  Builder builder(*app);
  GODWIT_TRY(builder.build());
  return app;
}

void App::stop(Deadline deadline) {
  for (auto& plugin : parts_.plugins) plugin->stop(deadline);
}

const Resource* App::resource(std::string_view name) const {
  for (const auto& r : resources_) {
    if (r->name == name) return r.get();
  }
  return nullptr;
}

Task<void> App::execute(store::Session& session, Call& call) const {
  const Service* service = call.service();
  if (!service) {
    ResourceRun run(session, call);
    (void)co_await run.run();
    co_return;
  }
  if (call.origin_refused) {
    std::vector<Problem> problems;
    problems.emplace_back("header", "Origin", std::string(call.headers.origin) + " not allowed");
    setInvalid(call.answer, std::move(problems));
    co_return;
  }
  if (service->work) {
    if (call.identity) {
      auto groups = co_await session.userPrincipals(call.user);
      if (!groups.ok()) {
        storageFailed(call, groups.error());
        co_return;
      }
      call.setPrincipals(*groups);
    } else {
      call.setPrincipals({});
    }
    (void)co_await service->work(session, call);
  } else if (service->now) {
    service->now(call);
  }
}

Task<void> App::invoke(store::Session& session, Call& call) const {
  if (route(call)) {
    if (call.identity) call.user = call.identity->prefixed();
    if (!call.service()) parseOperation(call, call.exchange.started_ms);
    co_await execute(session, call);
  }
  complete(call);
}

void App::refuse(Call& call) const {
  if (call.identity) {
    setError(call.answer, 403, kErrnoForbidden, "This user cannot access this resource.");
    return;
  }
  setError(call.answer, 401, kErrnoMissingAuth,
           "Please authenticate yourself to use this endpoint.");
  for (const auto& policy : policies_) {
    std::string challenge = policy->challenge();
    if (!challenge.empty()) call.answer.header("WWW-Authenticate", challenge);
  }
}

void App::storageFailed(Call& call, const Error& error) const {
  Exchange& exchange = call.exchange;
  exchange.backend_failed = true;
  switch (error.code) {
    case ErrorCode::kNeedsWrite:
      exchange.needs_write = true;
      setUnavailable(call.answer, config_);
      return;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kLimit:
    case ErrorCode::kClosed:
    case ErrorCode::kOs:
      exchange.failure = error;
      setUnavailable(call.answer, config_);
      return;
    case ErrorCode::kInvalid: {
      std::vector<Problem> problems;
      problems.emplace_back("body", "data", error.message);
      setInvalid(call.answer, std::move(problems));
      return;
    }
    case ErrorCode::kConflict:
      setError(call.answer, 409, kErrnoConstraint, "Integrity constraint violated, please retry.");
      call.answer.header("Retry-After", config_.retry_after_seconds);
      return;
    default:
      exchange.failure = Error(ErrorCode::kInternal, error.message, error.detail);
      setInternal(call.answer, config_);
  }
}

void App::complete(Call& call) const {
  Answer& answer = call.answer;
  bool read_query = answer.status < 400 || answer.status == 400 || answer.status == 412;
  if (call.operation && call.operation->list.deprecated_to && read_query) {
    answer.header("Alert",
                  alertJson("soft-eol", "_to is now deprecated, you should use _before instead",
                            "https://kinto.readthedocs.io/en/2.4.0/api/"
                            "resource.html#list-of-available-url-parameters"));
  }
  // Said once for a batch, not for each of its items.
  if (eos_ms_ != 0 && !call.nested) {
    bool passed = eos_ms_ <= clock().nowMs();
    answer.remove("Alert");
    answer.header("Alert",
                  alertJson(passed ? "hard-eol" : "soft-eol", config_.eos_message,
                            config_.eos_url.empty() ? config_.project_docs : config_.eos_url));
  }
  if (!answer.own_policy) answer.block(common_headers_);
  if (!config_.backoff.empty()) {
    bool send = !config_.backoff_percentage ||
                static_cast<double>(randomBelow(1'000'000)) < *config_.backoff_percentage * 10'000;
    if (send) answer.header("Backoff", config_.backoff);
  }
  const Route* route = call.answered_as ? call.answered_as : call.route;
  if (route && config_.cors_origins.empty()) return;
  if (call.headers.has_origin && !call.origin_refused) {
    if (route) {
      answer.header("Access-Control-Allow-Origin", any_origin_ ? "*" : call.headers.origin);
    } else if (any_origin_) {
      answer.header("Access-Control-Allow-Origin", "*");
    } else if (std::find(config_.cors_origins.begin(), config_.cors_origins.end(),
                         call.headers.origin) != config_.cors_origins.end()) {
      answer.header("Access-Control-Allow-Origin", call.headers.origin);
    }
  }
  if (route) {
    answer.block(route->expose[indexOf(call.method)]);
  } else {
    answer.block(expose_unrouted_);
  }
}

bool parseDate(std::string_view text, std::int64_t& unix_ms) {
  text = trim(text);
  if (text.size() < 10 || text[4] != '-' || text[7] != '-') return false;
  auto number = [&](std::size_t at, std::size_t size) -> std::int64_t {
    if (at + size > text.size() || !isDigits(text.substr(at, size))) return -1;
    return toInt(text.substr(at, size)).value_or(-1);
  };
  std::int64_t year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31) return false;
  std::int64_t hour = 0, minute = 0, second = 0;
  if (text.size() >= 16) {
    hour = number(11, 2);
    minute = number(14, 2);
    if (text.size() >= 19 && text[16] == ':') second = number(17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
      return false;
  }
  std::int64_t y = month <= 2 ? year - 1 : year;
  std::int64_t era = y / 400;
  std::int64_t yoe = y - era * 400;
  std::int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  std::int64_t days = era * 146'097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719'468;
  unix_ms = (days * 86'400 + hour * 3'600 + minute * 60 + second) * 1000;
  return true;
}

}  // namespace godwit::kinto
