#include "kinto/plugins/schema_cache.h"

namespace godwit::kinto {
namespace {

bool assigned(const std::string& field, bool id_is_ours) {
  return field == "last_modified" || field == "schema" || field == "__permissions__" ||
         (id_is_ours && field == "id");
}

// Nobody can send what the server assigns, so it cannot be required either.
void relax(json::Value& schema, bool id_is_ours) {
  json::Value* required = schema.get("required");
  if (!required || !required->isArray()) return;
  json::Array kept;
  for (json::Value& each : required->asArray()) {
    if (!(each.isString() && assigned(each.asString(), id_is_ours)))
      kept.push_back(std::move(each));
  }
  if (kept.empty()) {
    schema.asObject().erase("required");
  } else {
    *required = json::Value(std::move(kept));
  }
}

}  // namespace

Result<std::shared_ptr<const json::Schema>> SchemaCache::get(std::string_view schema_text,
                                                             bool id_is_ours) {
  std::string key(schema_text);
  key += id_is_ours ? '1' : '0';
  {
    std::lock_guard lock(mu_);
    if (auto it = index_.find(key); it != index_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->schema;
    }
  }
  Result<json::Value> document = json::parse(schema_text);
  if (!document.ok()) return std::move(document).error();
  relax(*document, id_is_ours);
  auto compiled = json::Schema::compile(std::move(*document));
  if (!compiled.ok()) return compiled;
  std::lock_guard lock(mu_);
  if (index_.contains(key)) return *compiled;
  bytes_ += key.size();
  entries_.push_front(Entry{std::move(key), *compiled});
  index_.emplace(entries_.front().key, entries_.begin());
  while (entries_.size() > 1 && (entries_.size() > max_entries_ || bytes_ > max_bytes_)) {
    bytes_ -= entries_.back().key.size();
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  return *compiled;
}

}  // namespace godwit::kinto
