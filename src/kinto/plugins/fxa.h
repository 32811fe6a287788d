#pragma once

#include <memory>
#include <string_view>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Firefox Accounts OAuth as the plugins of Kinto's older releases had it: a multiauth policy whose
// tokens the accounts server vouches for, and the endpoints by which a web page gets one.
std::unique_ptr<Plugin> makeFxaPlugin();

// Whether a multiauth policy's `use` means it.
bool isFxaPolicy(std::string_view use);

}  // namespace godwit::kinto
