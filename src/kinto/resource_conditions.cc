#include <algorithm>

#include "base/clock.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {

Task<bool> ResourceRun::listTimestamp() {
  if (op_.list_timestamp != 0) co_return true;
  if (resource_.compute) {
    // Made anew for every request, so no copy a client has can be known to be current.
    op_.list_timestamp = call_.exchange.started_ms;
    co_return true;
  }
  auto timestamp = co_await s_.timestamp(op_.ref);
  if (!timestamp.ok()) {
    if (timestamp.error().code == ErrorCode::kNeedsWrite && config_.readonly) {
      setError(call_.answer, 503, kErrnoBackend,
               "Resource timestamp cannot be written. Plural endpoint must be hit at least once "
               "from a writable instance.");
      call_.answer.header("Retry-After", config_.retry_after_seconds);
      co_return false;
    }
    co_return failed(timestamp.error());
  }
  op_.list_timestamp = *timestamp;
  co_return true;
}

bool ResourceRun::notModified(store::Timestamp current) {
  if (op_.if_none_match.kind != Precondition::Kind::kTimestamp ||
      op_.if_none_match.timestamp != current) {
    return false;
  }
  call_.answer.clear();
  call_.answer.status = 304;
  call_.answer.content_type = {};
  addTimestamp(call_.answer, current);
  return true;
}

Task<bool> ResourceRun::checkUnmodified(bool exists, const store::Object* object) {
  const Precondition& match = op_.if_match;
  bool always = op_.if_none_match.star() && exists;
  if (!always) {
    if (match.absent()) co_return true;
    always = !exists;
    if (exists && match.star()) co_return true;
  }
  store::Timestamp current = 0;
  if (object) {
    current = object->last_modified;
  } else {
    if (!co_await listTimestamp()) co_return false;
    current = op_.list_timestamp;
  }
  if (!always && match.timestamp == current) co_return true;
  std::string details;
  if (object) {
    details = "{\"existing\":";
    renderObject(details, *object);
    details += '}';
  }
  setError(call_.answer, 412, kErrnoModified, "Resource was modified meanwhile", details);
  addTimestamp(call_.answer, current);
  co_return false;
}

// How long strangers may cache, by settings and by the collection's own wish.
std::optional<std::int64_t> ResourceRun::cacheSeconds() const {
  const auto& settings = config_.cache_expires;
  std::optional<std::int64_t> seconds;
  if (!resource_.parent_must_exist) {
    auto own = settings.find(resource_.name);
    if (own != settings.end() && own->second != 0) seconds = own->second;
    return seconds;
  }
  if (!settings.empty()) {
    std::string bucket(call_.params.get("bucket_id"));
    std::string collection(call_.params.get("collection_id"));
    const std::string keys[] = {bucket + "." + collection + "." + resource_.name,
                                bucket + "." + resource_.name, resource_.name,
                                bucket + "_" + collection + "_" + resource_.name,
                                bucket + "_" + resource_.name};
    for (const std::string& key : keys) {
      if (auto it = settings.find(key); it != settings.end()) {
        seconds = it->second;
        break;
      }
    }
  }
  if (op_.above && op_.above->data.find("\"cache_expires\"") != std::string::npos) {
    json::Value above = documentOf(*op_.above);
    const json::Value* expires = above.get("cache_expires");
    if (auto n = expires ? expires->toInt() : std::nullopt) {
      std::int64_t floor = seconds && *seconds != 0 ? *seconds : -1;
      seconds = std::max(floor, *n);
    }
  }
  return seconds;
}

Task<bool> ResourceRun::addCacheHeaders() {
  if (!call_.identity) {
    if (!co_await loadAbove()) co_return false;
    if (auto seconds = cacheSeconds()) {
      allowCaching(call_.answer, *seconds, call_.app().clock().nowMs());
      co_return true;
    }
  }
  call_.answer.header("Cache-Control", "no-cache, no-store");
  co_return true;
}

}  // namespace godwit::kinto
