#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "godwit/result.h"

// A JSON document in memory. Numbers keep the text they were written with, so that 64-bit-plus
// integers and 17-digit doubles leave as they came. See docs/decisions/0003-own-json-value.md.
namespace godwit::json {

enum class Kind : std::uint8_t { kNull, kString, kNumber, kBool, kArray, kObject };

class Value;
using Array = std::vector<Value>;

// Members in the order first written. Lookup is linear below a small size, then indexed. Keys must
// not be changed through the iterators.
class Object {
 public:
  using Member = std::pair<std::string, Value>;

  [[nodiscard]] const Value* find(std::string_view key) const;  // nullptr when absent
  [[nodiscard]] Value* find(std::string_view key);
  Value& set(std::string key, Value value);  // replaces in place or appends
  bool erase(std::string_view key);          // O(size)
  // Removes every member for which `drop` answers true, in one pass. Returns how many.
  std::size_t eraseIf(const std::function<bool(const Member&)>& drop);
  void reserve(std::size_t members);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::vector<Member>::const_iterator begin() const;
  [[nodiscard]] std::vector<Member>::const_iterator end() const;
  [[nodiscard]] std::vector<Member>::iterator begin();
  [[nodiscard]] std::vector<Member>::iterator end();

  Object();
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(const Object&);
  Object& operator=(Object&&) noexcept;
  ~Object();

 private:
  struct Index;
  [[nodiscard]] std::size_t position(std::string_view key) const;  // size() when absent
  void reindex();

  std::vector<Member> members_;
  // Present exactly when there are many members: hostile documents must not cost O(n^2).
  std::unique_ptr<Index> index_;
};

class Value {
 public:
  // Implicit on purpose: null, true, 1, "text" are values.
  Value() = default;
  Value(std::nullptr_t) {}                                // NOLINT
  Value(bool b) : v_(std::in_place_index<kBoolAt>, b) {}  // NOLINT
  Value(int i) : Value(static_cast<std::int64_t>(i)) {}   // NOLINT
  Value(std::int64_t i);                                  // NOLINT
  Value(std::uint64_t i);                                 // NOLINT
  // Shortest text that reads back the same, with ".0" when integral; null if not finite.
  Value(double d);                                      // NOLINT
  Value(const char* s) : Value(std::string(s)) {}       // NOLINT
  Value(std::string_view s) : Value(std::string(s)) {}  // NOLINT
  Value(std::string s);                                 // NOLINT
  Value(Array a);                                       // NOLINT
  Value(Object o);                                      // NOLINT
  // `text` must match the JSON number grammar.
  static Value numberFromText(std::string text);
  static Value object() { return Value(Object()); }
  static Value array() { return Value(Array()); }

  [[nodiscard]] Kind kind() const { return static_cast<Kind>(v_.index()); }
  [[nodiscard]] bool isNull() const { return kind() == Kind::kNull; }
  [[nodiscard]] bool isBool() const { return kind() == Kind::kBool; }
  [[nodiscard]] bool isNumber() const { return kind() == Kind::kNumber; }
  [[nodiscard]] bool isString() const { return kind() == Kind::kString; }
  [[nodiscard]] bool isArray() const { return kind() == Kind::kArray; }
  [[nodiscard]] bool isObject() const { return kind() == Kind::kObject; }
  [[nodiscard]] bool isInteger() const;  // a number written without fraction and exponent

  // REQUIRES the matching kind.
  [[nodiscard]] bool asBool() const;
  [[nodiscard]] const std::string& asString() const;
  [[nodiscard]] const std::string& numberText() const;
  [[nodiscard]] double asDouble() const;  // nearest; infinite when out of range
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
  Value(Value&&) noexcept;  // leaves null
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();

  // Equality as JSON: 1 equals 1.0, member order is ignored, true is not 1.
  friend bool operator==(const Value& a, const Value& b);

 private:
  // Alternatives in the order of Kind.
  static constexpr std::size_t kStringAt = static_cast<std::size_t>(Kind::kString);
  static constexpr std::size_t kNumberAt = static_cast<std::size_t>(Kind::kNumber);
  static constexpr std::size_t kBoolAt = static_cast<std::size_t>(Kind::kBool);
  static constexpr std::size_t kArrayAt = static_cast<std::size_t>(Kind::kArray);
  static constexpr std::size_t kObjectAt = static_cast<std::size_t>(Kind::kObject);
  std::variant<std::monostate, std::string, std::string, bool, Array, std::unique_ptr<Object>> v_;
};

inline std::size_t Object::size() const { return members_.size(); }
inline std::vector<Object::Member>::const_iterator Object::begin() const {
  return members_.begin();
}
inline std::vector<Object::Member>::const_iterator Object::end() const { return members_.end(); }
inline std::vector<Object::Member>::iterator Object::begin() { return members_.begin(); }
inline std::vector<Object::Member>::iterator Object::end() { return members_.end(); }

// Total order of PostgreSQL's jsonb: null < string < number < boolean < array < object; strings by
// bytes; fewer elements or members first; and an empty array, compared as a whole, before
// everything. Returns <0, 0 or >0. Numbers are compared exactly, not as doubles (exponents are
// taken as +-10^17 beyond that).
int compare(const Value& a, const Value& b);

struct Limits {
  std::size_t max_depth = 128;  // of arrays and objects, at most 1024; bounds recursion everywhere
  Limits() = default;
  explicit Limits(std::size_t depth) : max_depth(depth) {}
};

// RFC 8259, strictly: UTF-8 checked, no trailing text, no lone surrogates, last of equal keys wins.
// Error kInvalid with position: "Parse error at offset 4: Invalid value.".
Result<Value> parse(std::string_view text, Limits limits = {});

// Containers on the longest way down; 0 for a scalar.
std::size_t depth(const Value& value);
// Some string or key holds U+0000, which PostgreSQL cannot store.
bool containsNul(const Value& value);

// No spaces, ASCII only: everything above 0x7E as \uXXXX with upper-case hex. Bytes that are no
// UTF-8 become U+FFFD.
std::string dump(const Value& value);
void dumpTo(std::string& out, const Value& value);
void dumpString(std::string& out, std::string_view utf8);

}  // namespace godwit::json
