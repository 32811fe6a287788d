#include "kinto/plugins/openid.h"

#include <algorithm>
#include <map>

#include "auth/openid_policy.h"
#include "base/encoding.h"
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

constexpr std::int64_t kVerificationTtl = 86'400;
constexpr std::int64_t kStateTtl = 3'600;
constexpr std::int64_t kStateLength = 32;
constexpr std::size_t kMaxState = 1'024;  // characters looked up
// The answer to a code goes into a Location header.
constexpr std::size_t kMaxTokenAnswer = 48 * 1024;
constexpr std::chrono::milliseconds kTradeTimeout{10'000};

std::string stateKey(std::string_view state) { return "openid:state:" + std::string(state); }

// One policy of multiauth.policies and its provider.
struct Provider {
  std::string name;
  std::string client_id, client_secret, audience, header_type, userid_field;
  std::string scope;  // of a login that names none
  std::chrono::seconds state_ttl{kStateTtl};
  std::size_t state_length = kStateLength;  // bytes
  auth::OpenIdProvider published;
};

class OpenIdPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "openid"; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    for (const Config::PolicyConfig& policy : config.policies) {
      if (!isOpenIdPolicy(policy.use)) continue;
      auto provider = discover(config, policy.name);
      if (!provider.ok()) return std::move(provider).error();
      addPolicy(setup, *provider, policy.realm);
      order_.push_back(policy.name);
      providers_.emplace(policy.name, std::move(*provider));
    }
    // The policy works without its plugin; the endpoints come with the plugin alone.
    bool included = false;
    for (const std::string& include : config.list("includes"))
      included = included || include == "kinto.plugins.openid" || include == "openid";
    if (!included) return {};
    setup.addRoute(route("openid_login", "/openid/{provider}/login",
                         [this](Call& call, auto done) { login(call, std::move(done)); }));
    setup.addRoute(route("openid_token", "/openid/{provider}/token",
                         [this](Call& call, auto done) { trade(call, std::move(done)); }));
    if (!providers_.empty()) setup.addCapability("openid", capability());
    return {};
  }

 private:
  using Later = std::function<void(Call&, std::function<void()>)>;

  static std::unique_ptr<Route> route(std::string name, std::string pattern, Later later) {
    auto route = std::make_unique<Route>();
    route->name = std::move(name);
    route->pattern = std::move(pattern);
    route->methods = {"GET"};
    Service& service = route->services[indexOf(http::Method::kGet)];
    service.later = std::move(later);
    service.now = [](Call& call) {
      setInvalid(call.answer, {Problem("path", "path", "A login cannot be part of a batch.")});
    };
    return route;
  }

  Result<Provider> discover(const Config& config, const std::string& name) {
    std::string prefix = "multiauth.policy." + name + ".";
    for (const char* needed : {"issuer", "client_id"}) {
      if (config.text(prefix + needed).empty())
        return Error(ErrorCode::kInvalid, prefix + needed + " is not set");
    }
    auto number = [&](const char* key, std::int64_t fallback) {
      return toInt(config.text(prefix + key)).value_or(fallback);
    };
    Provider p;
    p.name = name;
    p.client_id = config.text(prefix + "client_id");
    p.client_secret = config.text(prefix + "client_secret");
    p.audience = config.text(prefix + "audience");
    p.header_type = config.text(prefix + "header_type", "Bearer");
    p.userid_field = config.text(prefix + "userid_field", "sub");
    p.scope = config.text(prefix + "scope");
    p.state_ttl = std::chrono::seconds(number("state_ttl_seconds", kStateTtl));
    p.state_length = static_cast<std::size_t>(number("state_length", kStateLength));
    auto published = auth::discoverOpenId(fetcher_, config.text(prefix + "issuer"));
    if (!published.ok()) return std::move(published).error();
    p.published = std::move(*published);
    if (!p.audience.empty() && p.published.jwks_uri.empty())
      return Error(ErrorCode::kInvalid, prefix + "audience cannot be checked: " +
                                            p.published.issuer + " publishes no jwks_uri");
    return p;
  }

  void addPolicy(Setup& setup, const Provider& p, const std::string& realm) {
    const Config& config = setup.config();
    auth::TokenPolicy::Options options;
    options.name = lower(p.name);
    options.scheme = p.header_type;
    options.realm = realm;
    options.userid_field = p.userid_field;
    options.secret = config.userid_hmac_secret;
    options.ttl = std::chrono::seconds(
        toInt(config.text("multiauth.policy." + p.name + ".verification_ttl_seconds"))
            .value_or(kVerificationTtl));
    options.cache = &setup.cache();
    setup.addPolicy(
        p.name, std::make_unique<auth::OpenIdPolicy>(std::move(options), p.published, p.client_id,
                                                     p.audience, fetcher_));
    json::Object security;
    security.set("type", "oauth2");
    security.set("flow", "implicit");
    security.set("authorizationUrl", p.published.authorization_endpoint);
    security.set("scopes", json::Value::object());
    setup.addSecurity(p.name, json::dump(json::Value(std::move(security))));
  }

  [[nodiscard]] std::string capability() const {
    json::Array list;
    for (const std::string& name : order_) {
      const Provider& p = providers_.at(name);
      json::Object one;
      one.set("name", name);
      one.set("issuer", p.published.published_issuer);
      one.set("auth_path", "/openid/" + name + "/login");
      one.set("client_id", p.client_id);
      one.set("audience", p.audience);
      one.set("header_type", p.header_type);
      one.set("userinfo_endpoint", p.published.userinfo_endpoint);
      list.emplace_back(std::move(one));
    }
    json::Object all;
    all.set("description", "OpenID connect support.");
    all.set("url", "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html");
    all.set("providers", std::move(list));
    return json::dump(json::Value(std::move(all)));
  }

  // nullptr with a problem noted when the path names none.
  const Provider* providerOf(const Call& call, std::vector<Problem>& problems) const {
    std::string_view name = call.params.get("provider");
    auto found = providers_.find(name);
    if (found != providers_.end()) return &found->second;
    problems.emplace_back("path", "provider",
                          "Unknown provider " + pythonRepr(json::Value(std::string(name))));
    return nullptr;
  }

  static std::string tokenUri(const Call& call, const Provider& p) {
    return call.baseUrl() + "/" + call.config().routePrefix() + "/openid/" + p.name + "/token";
  }

  // Sends the browser to the provider, and remembers under a random state where it wants to be
  // sent in the end.
  void login(Call& call, std::function<void()> done) const {
    std::vector<Problem> problems;
    std::string callback = requiredUrl(call, "callback", problems);
    auto prompt = queryValue(call, "prompt");
    if (prompt && *prompt != "none")
      problems.emplace_back("querystring", "prompt", "String does not match expected pattern");
    const Provider* p = providerOf(call, problems);
    std::string scope = queryValue(call, "scope").value_or(p ? p->scope : std::string());
    if (scope.empty()) problems.emplace_back("querystring", "scope", "Required");
    if (problems.empty() && p->userid_field == "email" && scope.find("email") == scope.npos)
      problems.emplace_back("body", "scope", "Provider " + p->name + " requires 'email' scope");
    if (!problems.empty()) {
      setInvalid(call.answer, std::move(problems));
      return done();
    }
    std::string state = randomHex(p->state_length);
    std::string url = p->published.authorization_endpoint;
    auto add = [&url](char before, std::string_view name, std::string_view value) {
      url.append(1, before).append(name).append("=").append(formEncode(value));
    };
    add(url.find('?') == url.npos ? '?' : '&', "client_id", p->client_id);
    add('&', "response_type", "code");
    add('&', "scope", scope);
    add('&', "redirect_uri", tokenUri(call, *p));
    add('&', "state", state);
    if (prompt) add('&', "prompt", *prompt);
    if (!p->audience.empty()) add('&', "audience", p->audience);
    auto kept = [&call, url, done](Result<bool> result) {
      if (result.ok()) {
        sendBrowserTo(call, 307, url);
      } else {
        call.app().storageFailed(call, result.error());
      }
      done();
    };
    call.app().cache().set(call.exchange.reactor, stateKey(state), cachedText(callback),
                           p->state_ttl, std::move(kept));
  }

  // The provider sent the browser back with a code: takes the state, which works once, trades the
  // code for tokens and hands them to the application.
  void trade(Call& call, std::function<void()> done) const {
    std::vector<Problem> problems;
    std::string code = requiredValue(call, "code", problems);
    std::string state = requiredValue(call, "state", problems);
    const Provider* p = providerOf(call, problems);
    if (!problems.empty()) {
      setInvalid(call.answer, std::move(problems));
      return done();
    }
    auto taken = [this, &call, p, code, done](Result<std::optional<std::string>> result) {
      if (!result.ok()) {
        call.app().storageFailed(call, result.error());
        return done();
      }
      std::string callback = *result ? textOfCached(**result) : std::string();
      if (callback.empty()) {
        refuseState(call);
        return done();
      }
      ask(call, *p, code, std::move(callback), done);
    };
    if (state.size() > kMaxState) return taken(std::optional<std::string>());
    call.app().cache().take(call.exchange.reactor, stateKey(state), std::move(taken));
  }

  static void refuseState(Call& call) {
    constexpr std::string_view kMessage = "Invalid state";
    std::string details = R"([{"location":"body","name":"state","description":"Invalid state",)";
    details += "\"errno\":" + std::to_string(kErrnoInvalidAuth) + "}]";
    setError(call.answer, 400, kErrnoInvalidParameters, kMessage, details, "Invalid parameters");
  }

  void ask(Call& call, const Provider& p, const std::string& code, std::string callback,
           std::function<void()> done) const {
    auth::FetchRequest request;
    request.method = "POST";
    request.url = p.published.token_endpoint;
    request.headers = {"Content-Type: application/x-www-form-urlencoded",
                       "Accept: application/json"};
    request.body = "code=" + formEncode(code) + "&client_id=" + formEncode(p.client_id) +
                   "&client_secret=" + formEncode(p.client_secret) +
                   "&redirect_uri=" + formEncode(tokenUri(call, p)) +
                   "&grant_type=authorization_code";
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(call.exchange.deadline.remaining());
    request.timeout = std::clamp(left, std::chrono::milliseconds(1), kTradeTimeout);
    request.max_response_bytes = kMaxTokenAnswer;
    auto answered = [&call, name = p.name, callback = std::move(callback),
                     done](Result<auth::FetchResponse> answer) {
      if (!answer.ok() || answer->status >= 500) {
        log::warn("login failed", {{"provider", name},
                                   {"error", answer.ok() ? "HTTP status" : answer.error().message},
                                   {"status", answer.ok() ? answer->status : 0}});
        setUnavailable(call.answer, call.config());
      } else {
        // What the provider refuses goes to the application as well.
        sendBrowserTo(call, 307, callback + percentEncode(base64Encode(answer->body), "-._~/"));
      }
      done();
    };
    fetcher_.fetch(call.exchange.reactor, std::move(request), std::move(answered));
  }

  mutable auth::Fetcher fetcher_;  // first: the policies and calls under way use it
  // Set once
  std::map<std::string, Provider, std::less<>> providers_;
  std::vector<std::string> order_;
};

}  // namespace

bool isOpenIdPolicy(std::string_view use) { return use.ends_with("OpenIDConnectPolicy"); }

std::unique_ptr<Plugin> makeOpenIdPlugin() { return std::make_unique<OpenIdPlugin>(); }

}  // namespace godwit::kinto
