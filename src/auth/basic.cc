#include "auth/basic.h"

#include "base/encoding.h"
#include "base/text.h"

namespace godwit::auth {
namespace {

std::string latin1ToUtf8(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    auto u = static_cast<unsigned char>(c);
    if (u < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | (u >> 6));
      out += static_cast<char>(0x80 | (u & 0x3F));
    }
  }
  return out;
}

}  // namespace

std::optional<Credentials> parseBasic(std::string_view authorization) {
  auto space = authorization.find(' ');
  if (space == std::string_view::npos ||
      !equalIgnoreCase(authorization.substr(0, space), "basic")) {
    return std::nullopt;
  }
  auto decoded = base64Decode(trim(authorization.substr(space + 1)));
  if (!decoded) return std::nullopt;
  std::string text = isValidUtf8(*decoded) ? std::move(*decoded) : latin1ToUtf8(*decoded);
  auto colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace godwit::auth
