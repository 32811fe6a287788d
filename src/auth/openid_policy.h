#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "auth/fetch.h"
#include "auth/jwt.h"
#include "auth/token_policy.h"

namespace godwit::auth {

// What an OpenID provider publishes about itself (OpenID Connect Discovery 1.0).
struct OpenIdProvider {
  std::string issuer;            // as configured: what tokens must name
  std::string published_issuer;  // as the provider calls itself
  std::string authorization_endpoint, token_endpoint, userinfo_endpoint, jwks_uri;
};

// Asks `issuer` + "/.well-known/openid-configuration". For start-up: waits for the answer. Errors
// name the issuer.
Result<OpenIdProvider> discoverOpenId(Fetcher& fetcher, const std::string& issuer);

// Access tokens of one OpenID provider. With an audience set the token must be a JWT that the
// provider signed for it; in any case the provider's userinfo endpoint must accept the token and
// says who it is.
class OpenIdPolicy final : public TokenPolicy {
 public:
  // `options` without cache_prefix and cache_salt, which are set here.
  OpenIdPolicy(Options options, OpenIdProvider provider, std::string client_id,
               std::string audience, Fetcher& fetcher);

 protected:
  void vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const override;

 private:
  struct Keys;
  void askUser(std::string token, Reactor& home, Deadline deadline, Vouched done) const;
  void checkSigned(std::string token, Reactor& home, Deadline deadline, Vouched done,
                   bool may_refresh) const;

  const OpenIdProvider provider_;
  const std::string audience_;
  Fetcher& fetcher_;

  mutable std::mutex mu_;
  // Guarded by mu_; replaced as a whole when the provider rotates its keys.
  mutable std::shared_ptr<const JwkSet> keys_;
  mutable std::int64_t keys_at_ms_ = 0;
  mutable std::int64_t refreshed_at_ms_ = 0;  // for a token with an unknown key id
};

}  // namespace godwit::auth
