#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "godwit/result.h"

// A JSON document in memory. Numbers keep the text they were written with, so that 64-bit-plus
// integers and 17-digit doubles leave as they came. See docs/decisions/0003-own-json-value.md.
namespace godwit::json {

enum class Kind : std::uint8_t { kNull, kString, kNumber, kBool, kArray, kObject };

class Value;
using Array = std::vector<Value>;

// Members in the order first written. Lookup is linear below a small size, then indexed.
class Object {
 public:
  using Member = std::pair<std::string, Value>;

  [[nodiscard]] const Value* find(std::string_view key) const;  // nullptr when absent
  [[nodiscard]] Value* find(std::string_view key);
  Value& set(std::string key, Value value);  // replaces in place or appends
  bool erase(std::string_view key);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();

  Object();
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(const Object&);
  Object& operator=(Object&&) noexcept;
  ~Object();

 private:
  struct Index;  // built when the object grows large; hostile documents must not cost O(n^2)
  std::vector<Member> members_;
  std::unique_ptr<Index> index_;
};

class Value {
 public:
  Value() : kind_(Kind::kNull) {}
  Value(std::nullptr_t) : kind_(Kind::kNull) {}  // NOLINT: implicit on purpose, here and below
  Value(bool b) : kind_(Kind::kBool), bool_(b) {}
  Value(int i);
  Value(std::int64_t i);
  Value(std::uint64_t i);
  Value(double d);  // shortest text that reads back the same, with ".0" when integral; null if not
                    // finite
  Value(const char* s) : Value(std::string(s)) {}
  Value(std::string_view s) : Value(std::string(s)) {}
  Value(std::string s);
  Value(Array a);
  Value(Object o);
  // `text` must match the JSON number grammar.
  static Value numberFromText(std::string text);
  static Value object() { return Value(Object()); }
  static Value array() { return Value(Array()); }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool isNull() const { return kind_ == Kind::kNull; }
  [[nodiscard]] bool isBool() const { return kind_ == Kind::kBool; }
  [[nodiscard]] bool isNumber() const { return kind_ == Kind::kNumber; }
  [[nodiscard]] bool isString() const { return kind_ == Kind::kString; }
  [[nodiscard]] bool isArray() const { return kind_ == Kind::kArray; }
  [[nodiscard]] bool isObject() const { return kind_ == Kind::kObject; }
  [[nodiscard]] bool isInteger() const;  // a number written without fraction and exponent

  // REQUIRES the matching kind.
  [[nodiscard]] bool asBool() const;
  [[nodiscard]] const std::string& asString() const;
  [[nodiscard]] const std::string& numberText() const;
  [[nodiscard]] double asDouble() const;
  [[nodiscard]] const Array& asArray() const;
  [[nodiscard]] Array& asArray();
  [[nodiscard]] const Object& asObject() const;
  [[nodiscard]] Object& asObject();
  // The number when it is an integer that fits, else nullopt (any kind allowed).
  [[nodiscard]] std::optional<std::int64_t> toInt() const;

  // Member of an object, or nullptr when this is no object or lacks it.
  [[nodiscard]] const Value* get(std::string_view key) const;
  [[nodiscard]] Value* get(std::string_view key);

  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();

  // Equality as JSON: 1 equals 1.0, member order is ignored, true is not 1.
  friend bool operator==(const Value& a, const Value& b);

 private:
  Kind kind_;
  bool bool_ = false;
  std::string text_;  // string or number text
  std::unique_ptr<Array> array_;
  std::unique_ptr<Object> object_;
};

// Total order of PostgreSQL's jsonb: null < string < number < boolean < array < object.
// Returns <0, 0 or >0. Numbers are compared exactly, not as doubles.
int compare(const Value& a, const Value& b);

struct Limits {
  std::size_t max_depth = 128;  // of arrays and objects; bounds recursion everywhere
  Limits() = default;
  explicit Limits(std::size_t depth) : max_depth(depth) {}
};

// RFC 8259, strictly: UTF-8 checked, no trailing text, no lone surrogates, last of equal keys wins.
// Error kInvalid with position: "Expecting ',' delimiter: line 1 column 5 (char 4)".
Result<Value> parse(std::string_view text, Limits limits = {});

// No spaces, ASCII only: everything above 0x7E as \uXXXX with upper-case hex.
std::string dump(const Value& value);
void dumpTo(std::string& out, const Value& value);
void dumpString(std::string& out, std::string_view utf8);

}  // namespace godwit::json
