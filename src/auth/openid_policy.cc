#include "auth/openid_policy.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "json/value.h"

namespace godwit::auth {
namespace {

// Tokens with an unknown key id make us ask for the key set again, but not more often than this.
constexpr std::int64_t kKeyRefreshMs = 30'000;
// A key that the provider withdrew is trusted no longer than this.
constexpr std::int64_t kKeyAgeMs = 300'000;
constexpr std::chrono::milliseconds kAskTimeout{5000};

std::string text(const json::Value& v, std::string_view name) {
  const json::Value* m = v.get(name);
  return m && m->isString() ? m->asString() : std::string();
}

FetchRequest request(std::string url, Deadline deadline) {
  FetchRequest r;
  r.url = std::move(url);
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining());
  r.timeout = std::max(std::chrono::milliseconds(1), std::min(kAskTimeout, left));
  return r;
}

TokenPolicy::Options keyed(TokenPolicy::Options o, const std::string& issuer,
                           const std::string& client, const std::string& audience) {
  o.cache_prefix = "openid:verify:";
  o.cache_salt = issuer + ":" + client + ":" + audience + ":";
  return o;
}

}  // namespace

Result<OpenIdProvider> discoverOpenId(Fetcher& fetcher, const std::string& issuer) {
  std::string base = issuer;
  while (base.ends_with('/')) base.pop_back();
  Result<FetchResponse> got =
      fetcher.fetchNow(request(base + "/.well-known/openid-configuration", Deadline::never()));
  std::string what = "cannot read the OpenID configuration of " + issuer + ": ";
  if (!got.ok()) return Error(got.error().code, what + got.error().message);
  if (got->status != 200)
    return Error(ErrorCode::kUnavailable, what + "HTTP status " + std::to_string(got->status));
  Result<json::Value> document = json::parse(got->body);
  if (!document.ok() || !document->isObject())
    return Error(ErrorCode::kInvalid, what + "it is no JSON object");
  OpenIdProvider p;
  p.issuer = issuer;
  p.published_issuer = text(*document, "issuer");
  if (p.published_issuer.empty()) p.published_issuer = issuer;
  p.authorization_endpoint = text(*document, "authorization_endpoint");
  p.token_endpoint = text(*document, "token_endpoint");
  p.userinfo_endpoint = text(*document, "userinfo_endpoint");
  p.jwks_uri = text(*document, "jwks_uri");
  if (p.userinfo_endpoint.empty())
    return Error(ErrorCode::kInvalid, what + "it has no userinfo_endpoint");
  return p;
}

OpenIdPolicy::OpenIdPolicy(Options options, OpenIdProvider provider, std::string client_id,
                           std::string audience, Fetcher& fetcher)
    : TokenPolicy(keyed(std::move(options), provider.issuer, client_id, audience)),
      provider_(std::move(provider)),
      audience_(std::move(audience)),
      fetcher_(fetcher) {}

void OpenIdPolicy::vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const {
  if (audience_.empty()) return askUser(std::move(token), home, deadline, std::move(done));
  checkSigned(std::move(token), home, deadline, std::move(done), true);
}

void OpenIdPolicy::checkSigned(std::string token, Reactor& home, Deadline deadline, Vouched done,
                               bool may_refresh) const {
  std::shared_ptr<const JwkSet> keys;
  bool asked = false;
  std::int64_t now = Clock::system().nowMs();
  {
    std::lock_guard lock(mu_);
    bool old = keys_at_ms_ + kKeyAgeMs <= now;
    if (!old || !may_refresh) keys = keys_;
    asked = refreshed_at_ms_ + kKeyRefreshMs > now;
  }
  if (keys) {
    JwtChecks checks;
    checks.issuer = provider_.issuer;
    checks.audience = audience_;
    checks.now = now / 1000;
    Result<json::Value> claims = verifyJwt(token, *keys, checks);
    if (claims.ok()) return askUser(std::move(token), home, deadline, std::move(done));
    bool unknown_key = claims.error().code == ErrorCode::kNotFound;
    if (!unknown_key || !may_refresh || asked) {
      log::debug("openid.token_refused",
                 {{"issuer", provider_.issuer}, {"reason", claims.error().message}});
      return done(std::optional<std::string>());
    }
    std::lock_guard lock(mu_);
    refreshed_at_ms_ = now;
  } else if (!may_refresh) {
    return done(std::optional<std::string>());
  }
  auto got = [this, &home, deadline, token, done](Result<FetchResponse> answer) {
    if (!answer.ok()) return done(std::move(answer).error());
    if (answer->status != 200)
      return done(Error(ErrorCode::kUnavailable, "provider's keys are not to be had"));
    Result<JwkSet> parsed = JwkSet::parse(answer->body);
    if (!parsed.ok()) return done(Error(ErrorCode::kUnavailable, "provider's keys cannot be read"));
    {
      std::lock_guard lock(mu_);
      keys_ = std::make_shared<const JwkSet>(std::move(*parsed));
      keys_at_ms_ = Clock::system().nowMs();
    }
    checkSigned(token, home, deadline, done, false);
  };
  fetcher_.fetch(home, request(provider_.jwks_uri, deadline), std::move(got));
}

void OpenIdPolicy::askUser(std::string token, Reactor& home, Deadline deadline,
                           Vouched done) const {
  FetchRequest r = request(provider_.userinfo_endpoint, deadline);
  r.headers.push_back("Authorization: Bearer " + token);
  auto got = [done](Result<FetchResponse> answer) {
    if (!answer.ok()) return done(std::move(answer).error());
    // 5xx is the provider's trouble; anything else but 200 is a token it does not accept.
    if (answer->status >= 500)
      return done(Error(ErrorCode::kUnavailable, "provider answers with an error"));
    if (answer->status != 200) return done(std::optional<std::string>());
    Result<json::Value> profile = json::parse(answer->body);
    if (!profile.ok() || !profile->isObject()) return done(std::optional<std::string>());
    done(std::optional<std::string>(json::dump(*profile)));
  };
  fetcher_.fetch(home, std::move(r), std::move(got));
}

}  // namespace godwit::auth
