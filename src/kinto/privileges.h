#pragma once

#include <string>

#include "godwit/result.h"

namespace godwit::kinto {

// Becomes that user and group (names or numbers, "" to stay) when started as root; does nothing
// otherwise. Before other threads exist. Errors: kInvalid for unknown names, kOs.
Result<void> dropPrivileges(const std::string& user, const std::string& group);

}  // namespace godwit::kinto
