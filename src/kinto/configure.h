#pragma once

#include <string_view>

#include "kinto/config.h"
#include "kinto/settings.h"

namespace godwit::kinto {

// The typed form of checked settings. `version` is the program's, for when project_version is not
// set.
Config configFrom(const Settings& settings, std::string_view version);

}  // namespace godwit::kinto
