#include "kinto/plugins/fxa.h"

#include <algorithm>

#include "auth/fxa_policy.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "json/value.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/plugins/login_flow.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

constexpr std::string_view kDefaultServer = "https://oauth.accounts.firefox.com/v1";
constexpr std::int64_t kCacheTtl = 300;
constexpr std::int64_t kStateTtl = 3'600;
constexpr std::size_t kStateBytes = 16;
constexpr std::size_t kMaxState = 256;  // characters looked up
constexpr std::size_t kMaxTokenAnswer = 16 * 1024;
constexpr std::chrono::milliseconds kTradeTimeout{10'000};
// The clients of several applications cannot be told apart here.
constexpr std::string_view kClients = "fxa-oauth.clients.";

std::string stateKey(std::string_view state) { return "fxa:state:" + std::string(state); }

std::string orNull(const std::string& text) {
  return json::dump(text.empty() ? json::Value() : json::Value(text));
}

class FxaPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "fxa"; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    for (const auto& [key, value] : config.raw) {
      if (key.starts_with(kClients))
        return Error(ErrorCode::kInvalid, key + ": only one client is supported");
    }
    std::string both = config.text("fxa-oauth.scope");  // the name before there were two
    oauth_uri_ = config.text("fxa-oauth.oauth_uri");
    client_id_ = config.text("fxa-oauth.client_id");
    client_secret_ = config.text("fxa-oauth.client_secret");
    required_scope_ = both.empty() ? config.text("fxa-oauth.required_scope") : both;
    requested_scope_ = both.empty() ? config.text("fxa-oauth.requested_scope", "profile") : both;
    domains_ = config.list("fxa-oauth.webapp.authorized_domains");
    state_ttl_ = seconds(config, "fxa-oauth.state.ttl_seconds", kStateTtl);
    for (const Config::PolicyConfig& policy : config.policies) {
      if (isFxaPolicy(policy.use)) addPolicy(setup, policy);
    }
    json::Object capability;
    capability.set("version", config.project_version);
    capability.set("url", "https://github.com/Kinto/kinto-fxa");
    capability.set("description", "You can authenticate to that server using Firefox Account.");
    setup.addCapability("fxa", json::dump(json::Value(std::move(capability))));
    Service params;
    params.now = [this](Call& call) {
      call.answer.body = "{\"client_id\":" + orNull(client_id_) +
                         ",\"oauth_uri\":" + orNull(oauth_uri_) +
                         ",\"scope\":" + orNull(required_scope_) + "}";
    };
    addRoute(setup, "fxa-oauth-params", "/fxa-oauth/params", std::move(params));
    if (!config.flag("fxa-oauth.relier.enabled", true)) return {};
    auto no_batch = [](Call& call) {
      setInvalid(call.answer, {Problem("path", "path", "A login cannot be part of a batch.")});
    };
    Service login;
    login.now = no_batch;
    login.later = [this](Call& call, auto done) { logIn(call, std::move(done)); };
    addRoute(setup, "fxa-oauth-login", "/fxa-oauth/login", std::move(login));
    Service token;
    token.now = no_batch;
    token.later = [this](Call& call, auto done) { trade(call, std::move(done)); };
    addRoute(setup, "fxa-oauth-token", "/fxa-oauth/token", std::move(token));
    return {};
  }

 private:
  static std::chrono::seconds seconds(const Config& config, const char* key, std::int64_t none) {
    return std::chrono::seconds(toInt(config.text(key)).value_or(none));
  }

  static void addRoute(Setup& setup, std::string name, std::string pattern, Service service) {
    auto route = std::make_unique<Route>();
    route->name = std::move(name);
    route->pattern = std::move(pattern);
    route->methods = {"GET"};
    route->services[indexOf(http::Method::kGet)] = std::move(service);
    setup.addRoute(std::move(route));
  }

  [[nodiscard]] std::string server() const {
    return oauth_uri_.empty() ? std::string(kDefaultServer) : oauth_uri_;
  }

  void addPolicy(Setup& setup, const Config::PolicyConfig& policy) {
    const Config& config = setup.config();
    const std::string& name = policy.name;
    std::vector<std::string> scopes = splitWords(required_scope_);
    if (scopes.empty()) log::warn("fxa-oauth.required_scope is not set: no token will be accepted");
    auth::TokenPolicy::Options options;
    options.name = lower(name);
    options.realm = policy.realm;
    options.secret = config.userid_hmac_secret;
    options.ttl = seconds(config, "fxa-oauth.cache_ttl_seconds", kCacheTtl);
    options.cache = &setup.cache();
    setup.addPolicy(name, std::make_unique<auth::FxaPolicy>(std::move(options), server(),
                                                            std::move(scopes), fetcher_));
    json::Object names;
    for (const std::string& scope : splitWords(required_scope_)) names.set(scope, "Required.");
    json::Object security;
    security.set("type", "oauth2");
    security.set("flow", "implicit");
    security.set("authorizationUrl", auth::fxaUrl(server(), "/authorization"));
    security.set("scopes", std::move(names));
    setup.addSecurity(name, json::dump(json::Value(std::move(security))));
  }

  [[nodiscard]] bool authorized(std::string_view url) const {
    std::string_view domain = authorityOf(url);
    return std::any_of(domains_.begin(), domains_.end(),
                       [&](const std::string& d) { return wildcardMatch(d, domain); });
  }

  // Sends the browser to the accounts server, and remembers under a random state where it wants to
  // be sent in the end.
  void logIn(Call& call, std::function<void()> done) const {
    std::vector<Problem> problems;
    std::string redirect = requiredUrl(call, "redirect", problems);
    if (problems.empty() && !authorized(redirect))
      problems.emplace_back("querystring", "redirect", "redirect URL is not authorized");
    if (!problems.empty()) {
      setInvalid(call.answer, std::move(problems));
      return done();
    }
    std::string state = randomHex(kStateBytes);
    std::string scopes;
    for (const std::string& scope : splitWords(requested_scope_))
      scopes += (scopes.empty() ? "" : "+") + formEncode(scope);
    std::string base = server();
    while (base.ends_with('/')) base.pop_back();
    std::string url = base + "/authorization?action=signin&client_id=" + formEncode(client_id_) +
                      "&state=" + state + "&scope=" + scopes;
    auto kept = [&call, url, done](Result<bool> result) {
      if (result.ok()) {
        sendBrowserTo(call, 302, url);
      } else {
        call.app().storageFailed(call, result.error());
      }
      done();
    };
    call.app().cache().set(call.exchange.reactor, stateKey(state), cachedText(redirect), state_ttl_,
                           std::move(kept));
  }

  // Takes the state, which works once, and trades the code for a token, which goes to the page.
  void trade(Call& call, std::function<void()> done) const {
    std::vector<Problem> problems;
    std::string code = requiredValue(call, "code", problems);
    std::string state = requiredValue(call, "state", problems);
    if (!problems.empty()) {
      setInvalid(call.answer, std::move(problems));
      return done();
    }
    auto taken = [this, &call, code, done](Result<std::optional<std::string>> result) {
      if (!result.ok()) {
        call.app().storageFailed(call, result.error());
        return done();
      }
      std::string redirect = *result ? textOfCached(**result) : std::string();
      if (redirect.empty()) {
        setError(call.answer, 408, kErrnoMissingAuth,
                 "The OAuth session was not found, please re-authenticate.", {}, "Request Timeout");
        return done();
      }
      ask(call, code, std::move(redirect), done);
    };
    if (state.size() > kMaxState) return taken(std::optional<std::string>());
    call.app().cache().take(call.exchange.reactor, stateKey(state), std::move(taken));
  }

  void ask(Call& call, const std::string& code, std::string redirect,
           std::function<void()> done) const {
    json::Object body;
    body.set("code", code);
    body.set("client_id", client_id_);
    if (!client_secret_.empty()) body.set("client_secret", client_secret_);
    auth::FetchRequest request;
    request.method = "POST";
    request.url = auth::fxaUrl(server(), "/token");
    request.headers = {"Content-Type: application/json", "Accept: application/json"};
    request.body = json::dump(json::Value(std::move(body)));
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(call.exchange.deadline.remaining());
    request.timeout = std::clamp(left, std::chrono::milliseconds(1), kTradeTimeout);
    request.max_response_bytes = kMaxTokenAnswer;
    auto answered = [&call, redirect = std::move(redirect),
                     done](Result<auth::FetchResponse> answer) {
      finishTrade(call, redirect, answer);
      done();
    };
    fetcher_.fetch(call.exchange.reactor, std::move(request), std::move(answered));
  }

  static void finishTrade(Call& call, const std::string& redirect,
                          const Result<auth::FetchResponse>& answer) {
    if (answer.ok() && answer->status >= 400 && answer->status < 500) {
      return setInvalid(
          call.answer, {Problem("querystring", "code", "Firefox Account code validation failed.")});
    }
    Result<json::Value> parsed = answer.ok() && answer->status == 200
                                     ? json::parse(answer->body)
                                     : Result<json::Value>(json::Value());
    const json::Value* token = parsed.ok() ? parsed->get("access_token") : nullptr;
    if (token && token->isString()) return sendBrowserTo(call, 302, redirect + token->asString());
    log::warn("login failed", {{"provider", "fxa"},
                               {"error", answer.ok() ? "no token" : answer.error().message},
                               {"status", answer.ok() ? answer->status : 0}});
    setUnavailable(call.answer, call.config());
  }

  mutable auth::Fetcher fetcher_;
  // Set once
  std::string oauth_uri_, client_id_, client_secret_, required_scope_, requested_scope_;
  std::vector<std::string> domains_;
  std::chrono::seconds state_ttl_{kStateTtl};
};

}  // namespace

bool isFxaPolicy(std::string_view use) { return use.ends_with("FxAOAuthAuthenticationPolicy"); }

std::unique_ptr<Plugin> makeFxaPlugin() { return std::make_unique<FxaPlugin>(); }

}  // namespace godwit::kinto
