#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"

namespace godwit::json::detail {

// Unescaped reference tokens of an RFC 6901 pointer.
using Pointer = std::vector<std::string>;

Result<Pointer> parsePointer(std::string_view text);
// "0", "17"; nullopt for anything else, leading zeros included.
std::optional<std::size_t> arrayIndex(std::string_view token);

}  // namespace godwit::json::detail
