#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4). Chain by passing the previous result as `crc`.
// Uses SSE4.2 when the machine has it.
std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t crc = 0);

}  // namespace godwit
