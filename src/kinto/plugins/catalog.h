#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "kinto/config.h"
#include "kinto/plugin.h"

namespace godwit::kinto {

// Whether `include`, a predecessor's Python name or the bare one, names a plugin that is built in.
bool isPlugin(std::string_view include);

// The plugins that the settings ask for: by `includes` and by the settings that switch a feature
// on. Names that mean nothing here are left out; the settings' check has warned of them.
std::vector<std::unique_ptr<Plugin>> choosePlugins(const Config& config);

}  // namespace godwit::kinto
