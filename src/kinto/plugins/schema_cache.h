#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "json/schema/schema.h"

namespace godwit::kinto {

// Compiled schemas by their text; the least recently used leave first. Any thread.
class SchemaCache {
 public:
  explicit SchemaCache(std::size_t max_entries = 256, std::size_t max_bytes = 4 << 20)
      : max_entries_(max_entries), max_bytes_(max_bytes) {}

  // Compiles `schema_text` (a JSON object) as it applies to records: fields that the server assigns
  // are no longer required. Errors as Schema::compile.
  Result<std::shared_ptr<const json::Schema>> get(std::string_view schema_text, bool id_is_ours);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const json::Schema> schema;
  };
  const std::size_t max_entries_, max_bytes_;
  std::mutex mu_;
  // Guarded by mu_.
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
  std::size_t bytes_ = 0;
};

}  // namespace godwit::kinto
