#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/value.h"
#include "store/like.h"

namespace godwit::store {

// A constant that raw JSON texts are compared with, in the order of json::compare, without building
// a document for scalars. Immutable, any thread.
class Operand {
 public:
  explicit Operand(json::Value value);
  [[nodiscard]] int compare(std::string_view raw) const;  // raw against this: <0, 0, >0
  [[nodiscard]] bool equals(std::string_view raw) const;
  [[nodiscard]] const json::Value& value() const { return value_; }

 private:
  json::Value value_;
  std::string text_;    // canonical
  bool plain_ = false;  // a string without escapes, or a short integer
  std::int64_t integer_ = 0;
};

// Kind of canonical JSON text, from its first byte.
[[nodiscard]] json::Kind rawKind(std::string_view raw);

// PostgreSQL's ->> : strings as they are, other scalars as JSON, containers in jsonb's own layout;
// nothing for null.
[[nodiscard]] std::optional<std::string> rawAsText(std::string_view raw);

// An integer of at most 18 digits, without going through a document.
[[nodiscard]] std::optional<std::int64_t> shortInteger(std::string_view raw);

}  // namespace godwit::store
