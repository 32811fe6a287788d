#include "store/remote_cache.h"

#include "store/postgresql/cache.h"
#include "store/redis/cache.h"

namespace godwit::store {

namespace {

std::string_view lastName(std::string_view dotted) {
  auto dot = dotted.rfind('.');
  return dot == std::string_view::npos ? dotted : dotted.substr(dot + 1);
}

}  // namespace

Result<std::unique_ptr<Cache>> openRemoteCache(const std::map<std::string, std::string>& settings) {
  auto setting = [&](const char* key) {
    auto it = settings.find(key);
    return it == settings.end() ? std::string() : it->second;
  };
  std::string backend = setting("cache_backend");
  // kinto_redis.cache names the module, not the server.
  std::string_view kind = backend.starts_with("kinto_redis") ? "redis" : lastName(backend);
  if (kind == "postgresql") {
    auto options = postgresql::optionsFrom(settings, "cache_");
    if (!options.ok()) return std::move(options).error();
    return std::unique_ptr<Cache>(
        std::make_unique<postgresql::PgCache>(std::move(*options), setting("cache_prefix")));
  }
  if (kind == "redis") {
    auto url = setting("cache_url");
    auto options = redis::parseUrl(url.empty() ? "redis://localhost:6379/1" : url);
    if (!options.ok()) return std::move(options).error();
    options->prefix = setting("cache_prefix");
    return std::unique_ptr<Cache>(std::make_unique<redis::RedisCache>(std::move(*options)));
  }
  if (kind == "memcached") {
    return Error(ErrorCode::kUnsupported,
                 "cache_backend memcached is not supported; use redis (cache_backend = redis,"
                 " cache_url = redis://localhost:6379/1) or postgresql");
  }
  return Error(ErrorCode::kUnsupported,
               "cache_backend '" + backend + "' is unknown; use memory, postgresql or redis");
}

}  // namespace godwit::store
