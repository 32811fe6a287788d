#pragma once

#include <string>
#include <string_view>

namespace godwit::auth {

// Lower-case hex of HMAC-SHA256 (RFC 2104). Any thread.
std::string hmacSha256Hex(std::string_view secret, std::string_view message);

}  // namespace godwit::auth
