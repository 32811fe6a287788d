// JSON for the control socket and the state handed to a re-executed supervisor: a writer and a
// small reader with limits. Not a general library.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "godwit/result.h"

namespace godwit::supervise {

// Appends to a string; commas are placed by it. Strings that are not UTF-8 are repaired.
class JsonWriter {
 public:
  JsonWriter& beginObject();
  JsonWriter& endObject();
  JsonWriter& beginArray();
  JsonWriter& endArray();
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view v);
  JsonWriter& integer(std::int64_t v);
  JsonWriter& boolean(bool v);
  JsonWriter& null();
  JsonWriter& raw(std::string_view json);  // must be one value

  template <class T>
  JsonWriter& field(std::string_view name, const T& v) {
    key(name);
    if constexpr (std::is_same_v<T, bool>) {
      return boolean(v);
    } else if constexpr (std::is_integral_v<T>) {
      return integer(static_cast<std::int64_t>(v));
    } else {
      return string(v);
    }
  }
  [[nodiscard]] const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void separate();
  std::string out_;
  bool first_ = true;
};

// A parsed value. Absent members read as null, so chains of at() never fail.
class JsonValue {
 public:
  enum class Kind : unsigned char { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool isNull() const { return kind_ == Kind::kNull; }
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] const JsonValue& at(std::string_view name) const;
  [[nodiscard]] const std::vector<JsonValue>& items() const { return items_; }
  [[nodiscard]] const std::map<std::string, JsonValue, std::less<>>& members() const {
    return members_;
  }
  [[nodiscard]] std::string str(std::string_view fallback = "") const;
  [[nodiscard]] std::int64_t num(std::int64_t fallback = 0) const;
  [[nodiscard]] double real(double fallback = 0) const;
  [[nodiscard]] bool flag(bool fallback = false) const;

 private:
  friend class JsonReader;
  Kind kind_ = Kind::kNull;
  bool bool_ = false;
  std::int64_t int_ = 0;
  double double_ = 0;
  std::string string_;
  std::vector<JsonValue> items_;
  std::map<std::string, JsonValue, std::less<>> members_;
};

// One complete value of at most 16 levels, nothing after it.
Result<JsonValue> parseJson(std::string_view text);

}  // namespace godwit::supervise
