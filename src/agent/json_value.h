// A small JSON reader for configuration files: a tree, bounded depth, strict (RFC 8259) but for one
// thing: Python's literals ('…', True, False, None) are understood too, because Kadabra's settings
// are written as Python dictionaries.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "godwit/result.h"

namespace godwit::agent {

struct JsonValue {
  using Array = std::vector<JsonValue>;
  using Object = std::vector<std::pair<std::string, JsonValue>>;

  std::variant<std::monostate, bool, double, std::string, Array, Object> v;
  std::string number_text;  // a number as written

  [[nodiscard]] const Object* object() const { return std::get_if<Object>(&v); }
  [[nodiscard]] bool isNull() const { return v.index() == 0; }
  // Scalars as a settings file would write them.
  [[nodiscard]] std::string text() const;
};

Result<JsonValue> parseJsonValue(std::string_view text);

}  // namespace godwit::agent
