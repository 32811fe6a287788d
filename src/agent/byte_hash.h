#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

// A fast hash for tables in memory and for counting distinct members. Part of saved states: it must
// not change. Not for hostile input that is kept. Any thread.
namespace godwit::agent {

inline std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  __extension__ using Wide = unsigned __int128;
  Wide m = static_cast<Wide>(h ^ v) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::uint64_t>(m) ^ static_cast<std::uint64_t>(m >> 64);
}

inline std::uint64_t hashBytes(std::string_view s, std::uint64_t h) {
  h = mix(h, s.size() + 0x51ed270b);
  while (s.size() >= 8) {
    std::uint64_t v;
    std::memcpy(&v, s.data(), 8);
    h = mix(h, v);
    s.remove_prefix(8);
  }
  std::uint64_t v = 0;
  if (!s.empty()) std::memcpy(&v, s.data(), s.size());
  return mix(h, v + 1);
}

}  // namespace godwit::agent
