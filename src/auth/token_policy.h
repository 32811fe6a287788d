#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "auth/policy.h"
#include "store/backend.h"

namespace godwit::auth {

// A policy for opaque tokens that another server vouches for. What it said is remembered in the
// cache under a keyed hash of the token.
class TokenPolicy : public Policy {
 public:
  struct Options {
    std::string name;  // in multiauth.policies, and prefix of user ids
    std::string scheme = "Bearer";
    std::string realm = "Realm";
    std::string userid_field = "sub";
    std::string cache_prefix;  // "openid:verify:"
    std::string cache_salt;    // what else than the token the answer depends on
    std::string secret;        // of the cache keys
    std::chrono::seconds ttl{86400};
    bool renews = true;             // using a token makes it remembered anew
    bool shows_profile = true;      // hello shows what the other server said
    store::Cache* cache = nullptr;  // not owned
    Options() = default;
  };

  [[nodiscard]] const std::string& name() const override { return options_.name; }
  Verdict decide(const Presented& presented, Identity& out) const override;
  void authenticate(const Presented& presented, Reactor& home, Deadline deadline,
                    Done done) const override;
  [[nodiscard]] std::string challenge() const override {
    return options_.scheme + " realm=\"" + options_.realm + "\"";
  }

 protected:
  explicit TokenPolicy(Options options) : options_(std::move(options)) {}

  // JSON object text about the token's owner, or nothing when the token is not good. `done` is
  // called once, on `home`'s thread. The token is the callee's. An error: the other server is away.
  using Vouched = std::function<void(Result<std::optional<std::string>>)>;
  virtual void vouch(std::string token, Reactor& home, Deadline deadline, Vouched done) const = 0;

 private:
  [[nodiscard]] std::string_view tokenOf(const Presented& presented) const;  // "" when none

  const Options options_;
};

}  // namespace godwit::auth
