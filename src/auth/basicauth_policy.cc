#include "auth/basicauth_policy.h"

#include "auth/basic.h"
#include "auth/hmac.h"

namespace godwit::auth {

Policy::Verdict BasicAuthPolicy::decide(const Presented& presented, Identity& out) const {
  if (presented.authorization.empty()) return Verdict::kNo;
  auto credentials = parseBasic(presented.authorization);
  if (!credentials || credentials->user.empty()) return Verdict::kNo;
  out.policy = name_;
  out.user = hmacSha256Hex(secret_, credentials->user + ":" + credentials->password);
  return Verdict::kYes;
}

}  // namespace godwit::auth
