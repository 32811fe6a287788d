#include "auth/password.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <memory>

#include "base/encoding.h"
#include "base/random.h"

namespace godwit::auth {
namespace {

// 32 KiB: too much for small stacks, and it must not stay in memory with a password in it.
struct CryptData {
  std::unique_ptr<crypt_data> data = std::make_unique<crypt_data>();
  CryptData() = default;
  CryptData(const CryptData&) = delete;
  CryptData& operator=(const CryptData&) = delete;
  ~CryptData() { OPENSSL_cleanse(data.get(), sizeof *data); }
};

bool isBcrypt(std::string_view hash) {
  return hash.size() == 60 && hash.starts_with("$2") && hash[3] == '$' && hash[6] == '$';
}

}  // namespace

Result<std::string> hashPassword(std::string_view password, int cost) {
  if (password.find('\0') != password.npos)
    return Error(ErrorCode::kInvalid, "password contains a null character");
  unsigned char salt[16];
  randomBytes(salt);
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  if (!crypt_gensalt_rn("$2b$", static_cast<unsigned long>(cost), reinterpret_cast<char*>(salt),
                        sizeof salt, setting, sizeof setting)) {
    return Error(ErrorCode::kInvalid, "bcrypt cost is out of range");
  }
  CryptData c;
  std::string secret(password);
  const char* hash = crypt_rn(secret.c_str(), setting, c.data.get(), sizeof *c.data);
  OPENSSL_cleanse(secret.data(), secret.size());
  if (!hash) return Error(ErrorCode::kInternal, "password could not be hashed");
  return std::string(hash);
}

bool verifyPassword(std::string_view password, const std::string& hash) {
  if (!isBcrypt(hash) || password.find('\0') != password.npos) return false;
  CryptData c;
  std::string secret(password);
  const char* again = crypt_rn(secret.c_str(), hash.c_str(), c.data.get(), sizeof *c.data);
  OPENSSL_cleanse(secret.data(), secret.size());
  return again && constantTimeEqual(again, hash);
}

void wasteVerification(std::string_view password) {
  // Any well-formed hash of the default cost does.
  static const std::string kNobody = "$2b$12$" + std::string(22, '.') + std::string(31, '.');
  (void)verifyPassword(password, kNobody);
}

}  // namespace godwit::auth
