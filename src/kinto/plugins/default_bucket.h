#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// /buckets/default: an alias of a bucket that belongs to the user alone. It, and the collections
// below it, come into being when they are first used.
std::unique_ptr<Plugin> makeDefaultBucketPlugin();

}  // namespace godwit::kinto
