#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// POST /__flush__: empties storage, permissions and cache. Whoever can reach the endpoint may use
// it, so it exists only where the settings ask for it: tests, demonstrations.
std::unique_ptr<Plugin> makeFlushPlugin();

}  // namespace godwit::kinto
