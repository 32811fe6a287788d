#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::auth {

// bcrypt with the "$2b$" prefix, as Kinto stores it; verifies "$2a$", "$2x$" and "$2y$" too. A call
// takes tens to hundreds of milliseconds of CPU: never on a loop thread. Any thread.
//
// bcrypt looks at the first 72 bytes of a password only, and ends at a NUL; a password with a NUL
// is refused rather than cut. Cost is the binary logarithm of the rounds, 4 to 31.
inline constexpr int kBcryptCost = 12;

Result<std::string> hashPassword(std::string_view password, int cost = kBcryptCost);
// False also for a hash that is no bcrypt hash. The comparison takes constant time.
[[nodiscard]] bool verifyPassword(std::string_view password, const std::string& hash);
// Runs as long as verifying a hash of the default cost would: for unknown accounts, so that the
// answer's time does not tell whether an account exists.
void wasteVerification(std::string_view password);

}  // namespace godwit::auth
