#pragma once

#include <string>
#include <vector>

#include "auth/fetch.h"
#include "auth/token_policy.h"
#include "json/value.h"

namespace godwit::auth {

// The address of `path` of the server at `oauth_uri`, whose version need not be part of it.
std::string fxaUrl(std::string oauth_uri, std::string_view path);

// OAuth tokens of a Firefox Accounts server, as Kinto's releases of 2016 took them: the server's
// /verify must know the token and grant every required scope. A scope "a" includes "a:b". Without a
// required scope no token is good.
class FxaPolicy final : public TokenPolicy {
 public:
  // `options` without cache_prefix, cache_salt, userid_field, renews and shows_profile, which are
  // set here.
  FxaPolicy(Options options, std::string oauth_uri, std::vector<std::string> required_scopes,
            Fetcher& fetcher);

 protected:
  void vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const override;

 private:
  [[nodiscard]] bool granted(const json::Value& profile) const;

  const std::string verify_url_;
  const std::vector<std::string> scopes_;
  Fetcher& fetcher_;
};

}  // namespace godwit::auth
