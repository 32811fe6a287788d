#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace godwit {

std::string toHex(std::span<const unsigned char> bytes);  // lower case
std::string base64Encode(std::string_view bytes);         // RFC 4648 section 4, padded
// Accepts the standard and the URL-safe alphabet, padding optional. nullopt on anything else.
std::optional<std::string> base64Decode(std::string_view text);
// RFC 3986 percent decoding; '+' stays '+' unless plus_is_space. nullopt on a broken escape.
std::optional<std::string> percentDecode(std::string_view text, bool plus_is_space = false);
std::string percentEncode(std::string_view text, std::string_view keep = "-._~");
[[nodiscard]] bool isValidUtf8(std::string_view text);

// Time taken depends on the lengths only. For secrets and their hashes.
[[nodiscard]] bool constantTimeEqual(std::string_view a, std::string_view b);

}  // namespace godwit
