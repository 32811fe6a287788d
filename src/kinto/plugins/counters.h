#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// GET /__counters__: how many objects and tombstones of each resource there are, for everybody.
std::unique_ptr<Plugin> makeCountersPlugin();

}  // namespace godwit::kinto
