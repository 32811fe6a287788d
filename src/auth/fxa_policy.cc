#include "auth/fxa_policy.h"

#include <algorithm>

#include "json/value.h"

namespace godwit::auth {
namespace {

TokenPolicy::Options keyed(TokenPolicy::Options o, const std::string& uri,
                           const std::vector<std::string>& scopes) {
  o.cache_prefix = "fxa:verify:";
  o.cache_salt = uri + ":";
  for (const std::string& s : scopes) o.cache_salt += s + ":";
  o.userid_field = "user";
  return o;
}

std::string verifyUrl(std::string uri) {
  while (uri.ends_with('/')) uri.pop_back();
  return uri + "/verify";
}

}  // namespace

FxaPolicy::FxaPolicy(Options options, std::string oauth_uri,
                     std::vector<std::string> required_scopes, Fetcher& fetcher)
    : TokenPolicy(keyed(std::move(options), oauth_uri, required_scopes)),
      verify_url_(verifyUrl(std::move(oauth_uri))),
      scopes_(std::move(required_scopes)),
      fetcher_(fetcher) {}

void FxaPolicy::vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const {
  json::Object body;
  body.set("token", json::Value(std::move(token)));
  FetchRequest r;
  r.method = "POST";
  r.url = verify_url_;
  r.headers = {"Content-Type: application/json"};
  r.body = json::dump(json::Value(std::move(body)));
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining());
  r.timeout = std::clamp(left, std::chrono::milliseconds(1), r.timeout);
  auto got = [this, done](Result<FetchResponse> answer) {
    if (!answer.ok()) return done(std::move(answer).error());
    if (answer->status >= 500)
      return done(Error(ErrorCode::kUnavailable, "accounts server answers with an error"));
    if (answer->status != 200) return done(std::optional<std::string>());
    Result<json::Value> profile = json::parse(answer->body);
    const json::Value* granted = profile.ok() ? profile->get("scope") : nullptr;
    for (const std::string& needed : scopes_) {
      bool has = false;
      if (granted && granted->isArray()) {
        for (const json::Value& each : granted->asArray())
          has = has || (each.isString() && each.asString() == needed);
      }
      if (!has) return done(std::optional<std::string>());
    }
    if (!profile.ok() || !profile->isObject()) return done(std::optional<std::string>());
    done(std::optional<std::string>(json::dump(*profile)));
  };
  fetcher_.fetch(home, std::move(r), std::move(got));
}

}  // namespace godwit::auth
