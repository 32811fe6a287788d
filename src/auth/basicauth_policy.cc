#include "auth/basicauth_policy.h"

#include <array>
#include <atomic>
#include <functional>

#include "auth/basic.h"
#include "auth/hmac.h"

namespace godwit::auth {

namespace {

// The few credentials a thread saw last, so that a busy client's are not hashed for each request.
struct Seen {
  std::uint64_t policy = 0;  // serial number: an address may be used again
  std::string authorization;
  std::string user;
};
constexpr std::size_t kSeen = 16;
constexpr std::size_t kMaxRemembered = 256;  // bytes of a header value

std::uint64_t nextSerial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

Seen& slotFor(std::string_view authorization) {
  thread_local std::array<Seen, kSeen> seen;
  return seen[std::hash<std::string_view>()(authorization) % kSeen];
}

}  // namespace

BasicAuthPolicy::BasicAuthPolicy(std::string name, std::string secret, std::string realm)
    : name_(std::move(name)),
      secret_(std::move(secret)),
      realm_(std::move(realm)),
      serial_(nextSerial()) {}

Policy::Verdict BasicAuthPolicy::decide(const Presented& presented, Identity& out) const {
  if (presented.authorization.empty()) return Verdict::kNo;
  bool short_enough = presented.authorization.size() <= kMaxRemembered;
  Seen& seen = slotFor(presented.authorization);
  if (short_enough && seen.policy == serial_ && seen.authorization == presented.authorization) {
    out.policy = name_;
    out.user = seen.user;
    return Verdict::kYes;
  }
  auto credentials = parseBasic(presented.authorization);
  if (!credentials || credentials->user.empty()) return Verdict::kNo;
  out.policy = name_;
  out.user = hmacSha256Hex(secret_, credentials->user + ":" + credentials->password);
  if (short_enough) seen = Seen{serial_, std::string(presented.authorization), out.user};
  return Verdict::kYes;
}

}  // namespace godwit::auth
