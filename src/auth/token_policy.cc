#include "auth/token_policy.h"

#include <strings.h>

#include <algorithm>

#include "auth/hmac.h"
#include "json/value.h"

namespace godwit::auth {
namespace {

constexpr std::size_t kMaxToken = 16 * 1024;

// The user of a profile, or nothing when the field is missing.
std::optional<Identity> identify(const std::string& policy, const std::string& field,
                                 const std::string& profile) {
  Result<json::Value> parsed = json::parse(profile);
  if (!parsed.ok()) return std::nullopt;
  const json::Value* id = parsed->get(field);
  if (!id || !(id->isString() || id->isInteger())) return std::nullopt;
  Identity who;
  who.policy = policy;
  who.user = id->isString() ? id->asString() : id->numberText();
  if (who.user.empty()) return std::nullopt;
  who.profile_json = profile;
  return who;
}

}  // namespace

std::string_view TokenPolicy::tokenOf(const Presented& presented) const {
  std::string_view value = presented.authorization;
  std::size_t space = value.find(' ');
  if (space == value.npos || space != options_.scheme.size() || value.size() > kMaxToken) return {};
  if (::strncasecmp(value.data(), options_.scheme.data(), space) != 0) return {};
  value.remove_prefix(space);
  while (value.starts_with(' ')) value.remove_prefix(1);
  // It goes into a header of our own request: nothing that could end that header.
  bool visible =
      std::all_of(value.begin(), value.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return visible ? value : std::string_view();
}

Policy::Verdict TokenPolicy::decide(const Presented& presented, Identity&) const {
  return tokenOf(presented).empty() ? Verdict::kNo : Verdict::kLater;
}

void TokenPolicy::authenticate(const Presented& presented, Reactor& home, Deadline deadline,
                               Done done) const {
  std::string token(tokenOf(presented));
  std::string key =
      options_.cache_prefix + hmacSha256Hex(options_.secret, options_.cache_salt + token);
  auto settle = [this, &home, key, done](const std::string& profile, bool remember) {
    auto who = identify(options_.name, options_.userid_field, profile);
    if (who && remember) options_.cache->set(home, key, profile, options_.ttl, [](Result<bool>) {});
    if (who && !options_.shows_profile) who->profile_json.clear();
    done(std::move(who));
  };
  auto vouched = [settle, done](Result<std::optional<std::string>> profile) {
    if (!profile.ok()) return done(std::move(profile).error());
    if (!*profile) return done(std::optional<Identity>());
    settle(**profile, true);
  };
  // A cache that is away costs speed, not logins.
  auto remembered = [this, &home, deadline, token, settle,
                     vouched](Result<std::optional<std::string>> got) {
    if (got.ok() && *got) return settle(**got, options_.renews);
    vouch(token, home, deadline, vouched);
  };
  options_.cache->get(home, key, std::move(remembered));
}

}  // namespace godwit::auth
