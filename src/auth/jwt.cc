#include "auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <memory>
#include <optional>

#include "base/encoding.h"

namespace godwit::auth {
namespace {

template <class T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* p) const { Free(p); }
};
using PKey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using PKeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM, OSSL_PARAM_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BIGNUM, BN_free>>;

constexpr std::size_t kMaxKeys = 64;
constexpr std::size_t kMaxToken = 16 * 1024;
constexpr int kMinRsaBits = 2048;

enum class Family { kRsaPkcs1, kRsaPss, kEc };

struct Algorithm {
  std::string_view name;
  Family family;
  const char* digest;
  std::size_t coordinate;  // bytes of r and of s
};

constexpr Algorithm kAlgorithms[] = {
    {"RS256", Family::kRsaPkcs1, "SHA256", 0}, {"RS384", Family::kRsaPkcs1, "SHA384", 0},
    {"RS512", Family::kRsaPkcs1, "SHA512", 0}, {"PS256", Family::kRsaPss, "SHA256", 0},
    {"PS384", Family::kRsaPss, "SHA384", 0},   {"PS512", Family::kRsaPss, "SHA512", 0},
    {"ES256", Family::kEc, "SHA256", 32},      {"ES384", Family::kEc, "SHA384", 48},
};

const Algorithm* findAlgorithm(std::string_view name) {
  for (const Algorithm& a : kAlgorithms) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

std::string member(const json::Value& v, std::string_view name) {
  const json::Value* m = v.get(name);
  return m && m->isString() ? m->asString() : std::string();
}

Number toNumber(std::string_view base64) {
  auto bytes = base64Decode(base64);
  if (!bytes || bytes->empty()) return nullptr;
  return Number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes->data()),
                          static_cast<int>(bytes->size()), nullptr));
}

PKey build(const char* type, const Params& params) {
  PKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || !params || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return nullptr;
  }
  return PKey(key);
}

PKey rsaKey(const json::Value& jwk) {
  Number n = toNumber(member(jwk, "n"));
  Number e = toNumber(member(jwk, "e"));
  Builder b(OSSL_PARAM_BLD_new());
  if (!n || !e || !b || !OSSL_PARAM_BLD_push_BN(b.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) ||
      !OSSL_PARAM_BLD_push_BN(b.get(), OSSL_PKEY_PARAM_RSA_E, e.get())) {
    return nullptr;
  }
  PKey key = build("RSA", Params(OSSL_PARAM_BLD_to_param(b.get())));
  return key && EVP_PKEY_get_bits(key.get()) >= kMinRsaBits ? std::move(key) : nullptr;
}

PKey ecKey(const json::Value& jwk, std::size_t& coordinate) {
  std::string curve = member(jwk, "crv");
  const char* group = curve == "P-256" ? "prime256v1" : curve == "P-384" ? "secp384r1" : nullptr;
  coordinate = curve == "P-256" ? 32 : 48;
  auto x = base64Decode(member(jwk, "x"));
  auto y = base64Decode(member(jwk, "y"));
  if (!group || !x || !y || x->size() != coordinate || y->size() != coordinate) return nullptr;
  std::string point = "\x04" + *x + *y;  // SEC 1, uncompressed
  Builder b(OSSL_PARAM_BLD_new());
  if (!b || !OSSL_PARAM_BLD_push_utf8_string(b.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) ||
      !OSSL_PARAM_BLD_push_octet_string(b.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                        point.size())) {
    return nullptr;
  }
  return build("EC", Params(OSSL_PARAM_BLD_to_param(b.get())));
}

// JWS carries r and s side by side (RFC 7518 section 3.4); OpenSSL wants them in DER.
std::optional<std::string> toDer(std::string_view raw, std::size_t coordinate) {
  if (raw.size() != coordinate * 2) return std::nullopt;
  auto bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG* sig = ECDSA_SIG_new();
  if (!sig) return std::nullopt;
  BIGNUM* r = BN_bin2bn(bytes, static_cast<int>(coordinate), nullptr);
  BIGNUM* s = BN_bin2bn(bytes + coordinate, static_cast<int>(coordinate), nullptr);
  ECDSA_SIG_set0(sig, r, s);
  unsigned char* der = nullptr;
  int n = i2d_ECDSA_SIG(sig, &der);
  ECDSA_SIG_free(sig);
  if (n <= 0) return std::nullopt;
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(n));
  OPENSSL_free(der);
  return out;
}

bool verifySignature(const Algorithm& algorithm, EVP_PKEY* key, std::string_view signed_text,
                     std::string signature) {
  if (algorithm.family == Family::kEc) {
    auto der = toDer(signature, algorithm.coordinate);
    if (!der) return false;
    signature = std::move(*der);
  }
  DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  if (!context || EVP_DigestVerifyInit_ex(context.get(), &key_context, algorithm.digest, nullptr,
                                          nullptr, key, nullptr) <= 0) {
    return false;
  }
  if (algorithm.family == Family::kRsaPss &&
      (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) <= 0 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) <= 0)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(),
                          reinterpret_cast<const unsigned char*>(signed_text.data()),
                          signed_text.size()) == 1;
}

struct Split {
  std::string_view signed_text, header, payload, signature;
};

std::optional<Split> splitToken(std::string_view token) {
  if (token.size() > kMaxToken) return std::nullopt;
  std::size_t first = token.find('.');
  std::size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  return Split{token.substr(0, second), token.substr(0, first),
               token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}

std::optional<json::Value> decodeObject(std::string_view base64) {
  auto text = base64Decode(base64);
  if (!text) return std::nullopt;
  Result<json::Value> v = json::parse(*text, json::Limits(16));
  if (!v.ok() || !v->isObject()) return std::nullopt;
  return std::move(*v);
}

Error refused(std::string why) { return Error(ErrorCode::kForbidden, std::move(why)); }

Result<void> checkClaims(const json::Value& claims, const JwtChecks& checks) {
  auto seconds = [&](std::string_view name) -> std::optional<double> {
    const json::Value* v = claims.get(name);
    return v && v->isNumber() ? std::optional<double>(v->asDouble()) : std::nullopt;
  };
  auto now = static_cast<double>(checks.now);
  auto leeway = static_cast<double>(checks.leeway);
  if (auto exp = seconds("exp"); exp && *exp + leeway <= now) return refused("token has expired");
  if (auto nbf = seconds("nbf"); nbf && *nbf - leeway > now)
    return refused("token is not valid yet");
  if (!checks.issuer.empty() && member(claims, "iss") != checks.issuer)
    return refused("token has another issuer");
  if (!checks.audience.empty()) {
    const json::Value* aud = claims.get("aud");
    bool meant = aud && aud->isString() && aud->asString() == checks.audience;
    if (aud && aud->isArray()) {
      for (const json::Value& each : aud->asArray()) {
        meant = meant || (each.isString() && each.asString() == checks.audience);
      }
    }
    if (!meant) return refused("token is meant for another audience");
  }
  return {};
}

}  // namespace

struct JwkSet::Key {
  std::string id, algorithm;  // algorithm may be ""
  bool ec = false;
  std::size_t coordinate = 0;
  PKey key;

  [[nodiscard]] bool fits(const Algorithm& a) const {
    if (!algorithm.empty() && algorithm != a.name) return false;
    return a.family == Family::kEc ? ec && coordinate == a.coordinate : !ec;
  }
};

JwkSet::JwkSet() = default;
JwkSet::JwkSet(JwkSet&&) noexcept = default;
JwkSet& JwkSet::operator=(JwkSet&&) noexcept = default;
JwkSet::~JwkSet() = default;

std::size_t JwkSet::size() const { return keys_.size(); }

Result<JwkSet> JwkSet::parse(std::string_view json_text) {
  Result<json::Value> document = json::parse(json_text, json::Limits(16));
  if (!document.ok()) return std::move(document).error();
  const json::Value* keys = document->get("keys");
  if (!keys || !keys->isArray()) return Error(ErrorCode::kInvalid, "key set has no \"keys\"");
  JwkSet set;
  for (const json::Value& jwk : keys->asArray()) {
    if (set.keys_.size() == kMaxKeys) break;
    if (std::string use = member(jwk, "use"); !use.empty() && use != "sig") continue;
    Key key;
    key.id = member(jwk, "kid");
    key.algorithm = member(jwk, "alg");
    if (member(jwk, "kty") == "RSA") {
      key.key = rsaKey(jwk);
    } else if (member(jwk, "kty") == "EC") {
      key.ec = true;
      key.key = ecKey(jwk, key.coordinate);
    }
    if (key.key) set.keys_.push_back(std::move(key));
  }
  return set;
}

bool JwkSet::has(std::string_view key_id) const {
  for (const Key& k : keys_) {
    if (k.id == key_id) return true;
  }
  return false;
}

Result<json::Value> verifyJwt(std::string_view token, const JwkSet& keys, const JwtChecks& checks) {
  auto parts = splitToken(token);
  if (!parts) return refused("not a signed token");
  auto header = decodeObject(parts->header);
  auto signature = base64Decode(parts->signature);
  if (!header || !signature) return refused("token cannot be decoded");
  const Algorithm* algorithm = findAlgorithm(member(*header, "alg"));
  if (!algorithm) return refused("token uses an algorithm that is not allowed");
  if (header->get("crit")) return refused("token demands an unknown extension");
  std::string id = member(*header, "kid");
  bool known = false;
  bool good = false;
  for (const JwkSet::Key& key : keys.keys_) {
    if (!id.empty() && key.id != id) continue;
    known = true;
    good = good || (key.fits(*algorithm) &&
                    verifySignature(*algorithm, key.key.get(), parts->signed_text, *signature));
  }
  if (!known) return Error(ErrorCode::kNotFound, "token is signed with an unknown key");
  if (!good) return refused("signature does not match");
  auto claims = decodeObject(parts->payload);
  if (!claims) return refused("token cannot be decoded");
  GODWIT_TRY(checkClaims(*claims, checks));
  return std::move(*claims);
}

std::string keyIdOf(std::string_view token) {
  auto parts = splitToken(token);
  if (!parts) return {};
  auto header = decodeObject(parts->header);
  return header ? member(*header, "kid") : std::string();
}

}  // namespace godwit::auth
