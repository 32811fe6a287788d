#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace godwit::auth {

struct Credentials {
  std::string user;
  std::string password;
};

// The credentials of an "Authorization: Basic ..." value (RFC 7617). Bytes that are not UTF-8 are
// read as Latin-1. nullopt for another scheme, broken base64 or a missing colon. Any thread.
std::optional<Credentials> parseBasic(std::string_view authorization);

}  // namespace godwit::auth
