#include "store/glob.h"

namespace godwit::store {

bool globMatches(std::string_view pattern, std::string_view text, Star star) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t last_star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      last_star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (last_star != std::string_view::npos &&
               (star == Star::kCrossesSlash || text[retry] != '/')) {
      // Only the last star needs another try: what an earlier one could take, this one can too.
      // With stars that stop at a slash this holds as well, because the text between two stars is
      // matched at its first place and a later place only takes more of what precedes it.
      p = last_star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string prefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace godwit::store
