#pragma once

#include <memory>
#include <string_view>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Access tokens of OpenID Connect providers, one multiauth policy each, and the two endpoints by
// which a browser gets one. Start-up asks each provider for its configuration and waits for it.
std::unique_ptr<Plugin> makeOpenIdPlugin();

// Whether a multiauth policy's `use` means one of those.
bool isOpenIdPolicy(std::string_view use);

}  // namespace godwit::kinto
