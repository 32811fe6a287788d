#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "kinto/config.h"
#include "kinto/plugin.h"

namespace godwit::kinto {

class StoreMeter;

// Whether `include`, a predecessor's Python name or the bare one, names a plugin that is built in.
bool isPlugin(std::string_view include);

// The plugins that the settings ask for: by `includes` and by the settings that switch a feature
// on. Names that mean nothing here are left out; the settings' check has warned of them.
// `meter`: of the stores that the App is to use, where it is measured; outlives the plugins.
std::vector<std::unique_ptr<Plugin>> choosePlugins(const Config& config,
                                                   StoreMeter* meter = nullptr);

}  // namespace godwit::kinto
