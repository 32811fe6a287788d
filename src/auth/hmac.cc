#include "auth/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encoding.h"

namespace godwit::auth {

std::string hmacSha256Hex(std::string_view secret, std::string_view message) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  // OpenSSL takes no null key, not even of length 0.
  const void* key = secret.empty() ? static_cast<const void*>("") : secret.data();
  HMAC(EVP_sha256(), key, static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
  return toHex({digest, size});
}

}  // namespace godwit::auth
