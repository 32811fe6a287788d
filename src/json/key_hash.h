#pragma once

#include <cstdint>
#include <string_view>

namespace godwit::json::detail {

// SipHash-1-3 under a key drawn once per process: member names come from strangers, who must not be
// able to choose colliding ones.
std::uint64_t keyHash(std::string_view key);

}  // namespace godwit::json::detail
