#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kinto/config.h"
#include "kinto/plugin.h"

namespace godwit::kinto {

// The plugins that the settings ask for: by `includes`, with the predecessor's Python names or the
// bare ones, and by the settings that switch a feature on. Names that mean nothing here are
// returned in `unknown`, for a warning.
std::vector<std::unique_ptr<Plugin>> choosePlugins(const Config& config,
                                                   std::vector<std::string>& unknown);

}  // namespace godwit::kinto
