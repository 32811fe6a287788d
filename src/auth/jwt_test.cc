#include "auth/jwt.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>

#include "base/encoding.h"

namespace godwit::auth {
namespace {

std::string url64(std::string_view bytes) {
  std::string s = base64Encode(bytes);
  while (!s.empty() && s.back() == '=') s.pop_back();
  for (char& c : s) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return s;
}

std::string numberOf(EVP_PKEY* key, const char* name) {
  BIGNUM* n = nullptr;
  EVP_PKEY_get_bn_param(key, name, &n);
  std::string out(static_cast<std::size_t>(BN_num_bytes(n)), '\0');
  BN_bn2bin(n, reinterpret_cast<unsigned char*>(out.data()));
  BN_free(n);
  return out;
}

// An issuer with a key pair of its own.
class Issuer {
 public:
  Issuer(const char* type, std::string id)
      : id_(std::move(id)), rsa_(std::string_view(type) == "RSA") {
    key_ = rsa_ ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  }
  ~Issuer() { EVP_PKEY_free(key_); }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;

  std::string jwks() const {
    std::string common = R"("kid":")" + id_ + R"(","use":"sig")";
    if (rsa_) {
      return R"({"keys":[{"kty":"RSA",)" + common + R"(,"n":")" +
             url64(numberOf(key_, OSSL_PKEY_PARAM_RSA_N)) + R"(","e":")" +
             url64(numberOf(key_, OSSL_PKEY_PARAM_RSA_E)) + "\"}]}";
    }
    auto pad = [](std::string s) { return std::string(32 - s.size(), '\0') + s; };
    return R"({"keys":[{"kty":"EC","crv":"P-256",)" + common + R"(,"x":")" +
           url64(pad(numberOf(key_, OSSL_PKEY_PARAM_EC_PUB_X))) + R"(","y":")" +
           url64(pad(numberOf(key_, OSSL_PKEY_PARAM_EC_PUB_Y))) + "\"}]}";
  }

  std::string token(const std::string& claims, const std::string& alg, bool pss = false) const {
    std::string text =
        url64(R"({"typ":"JWT","alg":")" + alg + R"(","kid":")" + id_ + "\"}") + "." + url64(claims);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* key_context = nullptr;
    EVP_DigestSignInit_ex(context, &key_context, "SHA256", nullptr, nullptr, key_, nullptr);
    if (pss) {
      EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST);
    }
    std::size_t n = 0;
    auto data = reinterpret_cast<const unsigned char*>(text.data());
    EVP_DigestSign(context, nullptr, &n, data, text.size());
    std::string signature(n, '\0');
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &n, data,
                   text.size());
    signature.resize(n);
    EVP_MD_CTX_free(context);
    if (!rsa_) {
      auto p = reinterpret_cast<const unsigned char*>(signature.data());
      ECDSA_SIG* sig = d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(signature.size()));
      std::string raw(64, '\0');
      BN_bn2binpad(ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(raw.data()), 32);
      BN_bn2binpad(ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
      ECDSA_SIG_free(sig);
      signature = raw;
    }
    return text + "." + url64(signature);
  }

 private:
  std::string id_;
  bool rsa_;
  EVP_PKEY* key_;
};

constexpr std::int64_t kNow = 1'790'000'000;
const std::string kClaims =
    R"({"iss":"https://id.example","aud":["app","other"],"sub":"me","exp":1790000600})";

JwtChecks checksAt(std::int64_t now) {
  JwtChecks c;
  c.issuer = "https://id.example";
  c.audience = "app";
  c.now = now;
  return c;
}

std::string outcome(std::string_view token, const JwkSet& keys, const JwtChecks& checks) {
  auto r = verifyJwt(token, keys, checks);
  return r.ok() ? "ok " + r->get("sub")->asString() : r.error().message;
}

TEST(Jwt, accepts_what_its_issuer_signed) {
  Issuer rsa("RSA", "r1");
  Issuer ec("EC", "e1");
  auto rsa_keys = JwkSet::parse(rsa.jwks());
  auto ec_keys = JwkSet::parse(ec.jwks());
  ASSERT_TRUE(rsa_keys.ok() && ec_keys.ok());
  ASSERT_EQ(rsa_keys->size() + ec_keys->size(), 2u);
  EXPECT_EQ(outcome(rsa.token(kClaims, "RS256"), *rsa_keys, checksAt(kNow)), "ok me");
  EXPECT_EQ(outcome(rsa.token(kClaims, "PS256", true), *rsa_keys, checksAt(kNow)), "ok me");
  EXPECT_EQ(outcome(ec.token(kClaims, "ES256"), *ec_keys, checksAt(kNow)), "ok me");
  EXPECT_EQ(keyIdOf(ec.token(kClaims, "ES256")), "e1");
}

TEST(Jwt, refuses_forgeries) {
  Issuer rsa("RSA", "r1");
  Issuer other("RSA", "r1");
  Issuer stranger("RSA", "r2");
  auto keys = JwkSet::parse(rsa.jwks());
  EXPECT_EQ(outcome(other.token(kClaims, "RS256"), *keys, checksAt(kNow)),
            "signature does not match");
  EXPECT_EQ(outcome(stranger.token(kClaims, "RS256"), *keys, checksAt(kNow)),
            "token is signed with an unknown key");
  EXPECT_EQ(outcome(rsa.token(kClaims, "none"), *keys, checksAt(kNow)),
            "token uses an algorithm that is not allowed");
  EXPECT_EQ(outcome(rsa.token(kClaims, "HS256"), *keys, checksAt(kNow)),
            "token uses an algorithm that is not allowed");
  EXPECT_EQ(outcome(rsa.token(kClaims, "ES256"), *keys, checksAt(kNow)),
            "signature does not match");
  std::string good = rsa.token(kClaims, "RS256");
  for (std::size_t i = 0; i < good.size(); i += 7) {
    std::string bent = good;
    bent[i] = bent[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(verifyJwt(bent, *keys, checksAt(kNow)).ok()) << i;
  }
  for (const char* junk : {"", ".", "..", "a.b", "a.b.c", "a.b.c.d"}) {
    EXPECT_FALSE(verifyJwt(junk, *keys, checksAt(kNow)).ok()) << junk;
  }
}

TEST(Jwt, claims_must_hold) {
  Issuer rsa("RSA", "r1");
  auto keys = JwkSet::parse(rsa.jwks());
  std::string token = rsa.token(kClaims, "RS256");
  EXPECT_EQ(outcome(token, *keys, checksAt(kNow + 700)), "token has expired");
  JwtChecks other = checksAt(kNow);
  other.audience = "nobody";
  EXPECT_EQ(outcome(token, *keys, other), "token is meant for another audience");
  other = checksAt(kNow);
  other.issuer = "https://evil.example";
  EXPECT_EQ(outcome(token, *keys, other), "token has another issuer");
  EXPECT_EQ(outcome(rsa.token(R"({"sub":"x","nbf":1790000500})", "RS256"), *keys,
                    [] {
                      JwtChecks c;
                      c.now = kNow;
                      return c;
                    }()),
            "token is not valid yet");
}

TEST(Jwt, weak_or_broken_keys_are_left_out) {
  EXPECT_EQ(
      JwkSet::parse(
          R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AAAA"},{"kty":"EC"}]})")
          ->size(),
      0u);
  EXPECT_FALSE(JwkSet::parse("[]").ok());
  EXPECT_FALSE(JwkSet::parse("{").ok());
}

}  // namespace
}  // namespace godwit::auth
