#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "store/backend.h"

namespace godwit::store {

// Opens the cache on a server that `cache_backend` and `cache_url` name: PostgreSQL or Redis, by
// Kinto's module names or the short ones ("postgresql", "redis"). Settings come without "kinto.".
// Connects when first used. kUnsupported, with what to use instead, for memcached and for names
// unknown here ("memory" is the caller's business); kInvalid for bad settings.
Result<std::unique_ptr<Cache>> openRemoteCache(const std::map<std::string, std::string>& settings);

}  // namespace godwit::store
