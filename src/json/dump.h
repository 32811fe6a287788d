// How a character leaves. Private to json.
#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit::json::detail {

inline constexpr std::size_t kMaxEscaped = 12;  // a surrogate pair

// Writes one character in canonical form, at most kMaxEscaped bytes; returns where it ended.
char* putEscaped(char* out, std::uint32_t code_point);

}  // namespace godwit::json::detail
