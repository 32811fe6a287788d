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
  o.renews = false;
  o.shows_profile = false;
  return o;
}

bool matches(const std::string& given, const std::string& needed) {
  return needed == given || (needed.starts_with(given) && needed[given.size()] == ':');
}

}  // namespace

std::string fxaUrl(std::string oauth_uri, std::string_view path) {
  constexpr std::string_view kVersion = "/v1";
  while (oauth_uri.ends_with('/')) oauth_uri.pop_back();
  if (!oauth_uri.ends_with(kVersion)) oauth_uri += kVersion;
  return oauth_uri.append(path);
}

FxaPolicy::FxaPolicy(Options options, std::string oauth_uri,
                     std::vector<std::string> required_scopes, Fetcher& fetcher)
    : TokenPolicy(keyed(std::move(options), oauth_uri, required_scopes)),
      verify_url_(fxaUrl(std::move(oauth_uri), "/verify")),
      scopes_(std::move(required_scopes)),
      fetcher_(fetcher) {}

bool FxaPolicy::granted(const json::Value& profile) const {
  const json::Value* given = profile.get("scope");
  if (!given || !given->isArray() || scopes_.empty()) return false;
  auto has = [&](const std::string& needed) {
    return std::any_of(given->asArray().begin(), given->asArray().end(), [&](const auto& each) {
      return each.isString() && matches(each.asString(), needed);
    });
  };
  return std::all_of(scopes_.begin(), scopes_.end(), has);
}

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
    if (!profile.ok() || !profile->isObject() || !granted(*profile))
      return done(std::optional<std::string>());
    done(std::optional<std::string>(json::dump(*profile)));
  };
  fetcher_.fetch(home, std::move(r), std::move(got));
}

}  // namespace godwit::auth
