#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace godwit {

// Cryptographic randomness from getrandom(2), buffered per thread and never shared across fork.
void randomBytes(std::span<unsigned char> out);
std::uint64_t randomU64();
std::uint64_t randomBelow(std::uint64_t bound);  // uniform in [0, bound); bound > 0

std::string uuid4();                       // RFC 9562 version 4, lower case
std::string randomHex(std::size_t bytes);  // 2 * bytes characters
// First character alphanumeric, the rest also '-' and '_'. length > 0.
std::string randomName(std::size_t length);

}  // namespace godwit
