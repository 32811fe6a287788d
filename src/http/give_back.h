#pragma once

#include <string>

namespace godwit::http {

// Empties `s` and frees its memory. Assigning an empty string does not: libstdc++ keeps the buffer
// of the target when the source is short.
inline void giveBack(std::string& s) { std::string().swap(s); }

}  // namespace godwit::http
