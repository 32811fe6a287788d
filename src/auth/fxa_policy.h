#pragma once

#include <string>
#include <vector>

#include "auth/fetch.h"
#include "auth/token_policy.h"

namespace godwit::auth {

// OAuth tokens of a Firefox Accounts server, as Kinto's releases of 2016 took them: the server's
// /verify must know the token and grant every required scope.
class FxaPolicy final : public TokenPolicy {
 public:
  // `options` without cache_prefix, cache_salt and userid_field, which are set here.
  FxaPolicy(Options options, std::string oauth_uri, std::vector<std::string> required_scopes,
            Fetcher& fetcher);

 protected:
  void vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const override;

 private:
  const std::string verify_url_;
  const std::vector<std::string> scopes_;
  Fetcher& fetcher_;
};

}  // namespace godwit::auth
