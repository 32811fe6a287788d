#include "json/value.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace godwit::json {
namespace {

template <class T>
std::string integerText(T i) {
  std::array<char, 24> buf{};
  auto r = std::to_chars(buf.data(), buf.data() + buf.size(), i);
  return {buf.data(), r.ptr};
}

// Shortest digits that read back the same, laid out plainly from 1e-4 up to 1e16.
std::string doubleText(double d) {
  std::array<char, 32> buf{};
  double magnitude = std::fabs(d);
  bool plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  auto r = std::to_chars(buf.data(), buf.data() + buf.size(), d, format);
  std::string text(buf.data(), r.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace

Value::Value(std::int64_t i) : v_(std::in_place_index<kNumberAt>, integerText(i)) {}
Value::Value(std::uint64_t i) : v_(std::in_place_index<kNumberAt>, integerText(i)) {}
Value::Value(double d) {
  if (std::isfinite(d)) v_.emplace<kNumberAt>(doubleText(d));
}
Value::Value(std::string s) : v_(std::in_place_index<kStringAt>, std::move(s)) {}
Value::Value(Array a) : v_(std::in_place_index<kArrayAt>, std::move(a)) {}
Value::Value(Object o)
    : v_(std::in_place_index<kObjectAt>, std::make_unique<Object>(std::move(o))) {}

Value Value::numberFromText(std::string text) {
  Value v;
  v.v_.emplace<kNumberAt>(std::move(text));
  return v;
}

Value::Value(const Value& other) { *this = other; }
Value::Value(Value&& other) noexcept : v_(std::move(other.v_)) {
  other.v_.emplace<std::monostate>();
}
Value& Value::operator=(const Value& other) {
  if (this == &other) return *this;
  decltype(v_) copy;  // first, as `other` may live inside this
  switch (other.kind()) {
    case Kind::kNull:
      break;
    case Kind::kString:
      copy.emplace<kStringAt>(other.asString());
      break;
    case Kind::kNumber:
      copy.emplace<kNumberAt>(other.numberText());
      break;
    case Kind::kBool:
      copy.emplace<kBoolAt>(other.asBool());
      break;
    case Kind::kArray:
      copy.emplace<kArrayAt>(other.asArray());
      break;
    case Kind::kObject:
      copy.emplace<kObjectAt>(std::make_unique<Object>(other.asObject()));
      break;
  }
  v_ = std::move(copy);
  return *this;
}
Value& Value::operator=(Value&& other) noexcept {
  auto taken = std::move(other.v_);  // `other` may live inside this, or be it
  other.v_.emplace<std::monostate>();
  v_ = std::move(taken);
  return *this;
}
Value::~Value() = default;

bool Value::asBool() const {
  assert(isBool());
  return *std::get_if<kBoolAt>(&v_);
}
const std::string& Value::asString() const {
  assert(isString());
  return *std::get_if<kStringAt>(&v_);
}
const std::string& Value::numberText() const {
  assert(isNumber());
  return *std::get_if<kNumberAt>(&v_);
}
const Array& Value::asArray() const {
  assert(isArray());
  return *std::get_if<kArrayAt>(&v_);
}
Array& Value::asArray() {
  assert(isArray());
  return *std::get_if<kArrayAt>(&v_);
}
const Object& Value::asObject() const {
  assert(isObject());
  return **std::get_if<kObjectAt>(&v_);
}
Object& Value::asObject() {
  assert(isObject());
  return **std::get_if<kObjectAt>(&v_);
}

bool Value::isInteger() const {
  return isNumber() && numberText().find_first_of(".eE") == std::string::npos;
}

double Value::asDouble() const {
  const std::string& text = numberText();
  double d = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), d);
  if (r.ec == std::errc::result_out_of_range) d = std::strtod(text.c_str(), nullptr);
  return d;
}

std::optional<std::int64_t> Value::toInt() const {
  if (!isInteger()) return std::nullopt;
  const std::string& text = numberText();
  std::int64_t i = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), i);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return std::nullopt;
  return i;
}

const Value* Value::get(std::string_view key) const {
  return isObject() ? asObject().find(key) : nullptr;
}
Value* Value::get(std::string_view key) { return isObject() ? asObject().find(key) : nullptr; }

std::size_t depth(const Value& value) {
  std::size_t below = 0;
  if (value.isArray()) {
    for (const Value& v : value.asArray()) below = std::max(below, depth(v));
  } else if (value.isObject()) {
    for (const auto& [k, v] : value.asObject()) below = std::max(below, depth(v));
  } else {
    return 0;
  }
  return below + 1;
}

bool containsNul(const Value& value) {
  auto has = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  if (value.isString()) return has(value.asString());
  if (value.isArray()) {
    for (const Value& v : value.asArray()) {
      if (containsNul(v)) return true;
    }
  } else if (value.isObject()) {
    for (const auto& [k, v] : value.asObject()) {
      if (has(k) || containsNul(v)) return true;
    }
  }
  return false;
}

}  // namespace godwit::json
