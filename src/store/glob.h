#pragma once

#include <string>
#include <string_view>

namespace godwit::store {

// Patterns of parents, URIs and principals: '*' matches any run of characters, everything else
// itself. Any thread.
[[nodiscard]] inline bool isGlob(std::string_view pattern) {
  return pattern.find('*') != std::string_view::npos;
}

enum class Star : bool { kCrossesSlash, kStopsAtSlash };

// Linear in the text for one star, at worst text times pattern.
[[nodiscard]] bool globMatches(std::string_view pattern, std::string_view text,
                               Star star = Star::kCrossesSlash);

// What every match starts with: the pattern up to its first '*'.
[[nodiscard]] inline std::string_view globPrefix(std::string_view pattern) {
  return pattern.substr(0, pattern.find('*'));
}

// The least string above every string that starts with `prefix`, byte-wise; "" when there is none.
[[nodiscard]] std::string prefixEnd(std::string_view prefix);

}  // namespace godwit::store
