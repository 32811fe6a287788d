#pragma once

#include <cstdint>

#include "auth/policy.h"

namespace godwit::auth {

// Accepts any user name and password: the user id is their HMAC, so that the same pair is the same
// user and nobody can guess another one's id. Stores nothing.
class BasicAuthPolicy final : public Policy {
 public:
  BasicAuthPolicy(std::string name, std::string secret, std::string realm = "Realm");

  [[nodiscard]] const std::string& name() const override { return name_; }
  Verdict decide(const Presented& presented, Identity& out) const override;
  [[nodiscard]] std::string challenge() const override { return "Basic realm=\"" + realm_ + "\""; }

 private:
  std::string name_;
  std::string secret_;
  std::string realm_;
  std::uint64_t serial_;  // tells policies apart in what threads remember
};

}  // namespace godwit::auth
