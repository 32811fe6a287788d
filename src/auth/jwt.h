#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"
#include "json/value.h"

namespace godwit::auth {

// Public keys of a token issuer (RFC 7517). Keys of unknown type or too small are left out.
// Immutable; any thread.
class JwkSet {
 public:
  // Errors: kInvalid when `json_text` is no key set. At most 64 keys are taken.
  static Result<JwkSet> parse(std::string_view json_text);
  JwkSet(JwkSet&&) noexcept;
  JwkSet& operator=(JwkSet&&) noexcept;
  ~JwkSet();

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool has(std::string_view key_id) const;

 private:
  friend struct JwtChecks;
  friend Result<json::Value> verifyJwt(std::string_view, const JwkSet&, const struct JwtChecks&);
  struct Key;
  JwkSet();
  std::vector<Key> keys_;
};

struct JwtChecks {
  std::string issuer;    // "" accepts any
  std::string audience;  // "" accepts any
  std::int64_t now = 0;  // Unix seconds
  std::int64_t leeway = 30;
  JwtChecks() = default;
};

// The claims of a signed token (RFC 7519, compact form). Accepts RS256/384/512, PS256/384/512,
// ES256 and ES384 only: never "none", never a symmetric algorithm, and only with a key made for it.
// `exp` and `nbf` must hold within the leeway. Errors: kForbidden with the reason, for the log.
// kNotFound when no key has the token's key id: the set may be stale.
Result<json::Value> verifyJwt(std::string_view token, const JwkSet& keys, const JwtChecks& checks);

// The `kid` of an unverified token, "" when it has none or is no token.
std::string keyIdOf(std::string_view token);

}  // namespace godwit::auth
