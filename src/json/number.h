#pragma once

#include <string_view>

namespace godwit::json::detail {

// <0, 0 or >0 by value, exactly. Both match the JSON number grammar. Linear in their lengths.
int compareNumbers(std::string_view a, std::string_view b);

// Rounds to no finite double. `number` matches the JSON number grammar. Linear in its length.
bool exceedsDouble(std::string_view number);

}  // namespace godwit::json::detail
