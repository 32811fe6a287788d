#pragma once

#include <atomic>
#include <cstdint>

namespace godwit::http {

// What a careless handler lost, process-wide.
struct Counters {
  std::atomic<std::uint64_t> dropped_headers{0};
};

inline Counters& counters() {
  static Counters c;
  return c;
}

}  // namespace godwit::http
