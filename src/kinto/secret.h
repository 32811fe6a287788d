#pragma once

#include <string>

#include "godwit/result.h"

namespace godwit::kinto {

// The secret kept in `path` (mode 0600), made on first use: 32 random bytes as hex. Two processes
// that start at once end up with the same one.
Result<std::string> keptSecret(const std::string& path);

}  // namespace godwit::kinto
