#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "json/schema/pattern.h"
#include "json/schema/schema.h"

namespace godwit::json {

// What compiling finds out about a schema document, by address of the node. The document never
// moves after that.
struct Schema::Impl {
  Value document;
  bool draft7 = false;
  // By address of the `pattern` string, or of the subschema below patternProperties.
  std::unordered_map<const Value*, Pattern> patterns;
  // By address of the object that holds the $ref.
  std::unordered_map<const Value*, const Value*> refs;

  [[nodiscard]] const Pattern* pattern(const Value* node) const;
  [[nodiscard]] const Value* target(const Value* node) const;
};

inline constexpr std::string_view kMetaUri = "http://json-schema.org/draft-07/schema";

}  // namespace godwit::json
