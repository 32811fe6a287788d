#include "store/comparable.h"

#include <cstdlib>
#include <map>
#include <string_view>

#include "json/value.h"

namespace godwit::store {
namespace {

// As deep as a backend may have stored it.
constexpr std::size_t kMaxDepth = 10'000;

// 1e2, 100 and 100.0 alike.
std::string plainNumber(const std::string& text) {
  std::string digits;
  long exponent = 0;
  bool negative = false;
  bool point = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '-') negative = true;
    if (c == '.') point = true;
    if (c >= '0' && c <= '9') {
      digits += c;
      if (point) --exponent;
    }
    if (c == 'e' || c == 'E') {
      exponent += std::strtol(text.c_str() + i + 1, nullptr, 10);
      break;
    }
  }
  auto first = digits.find_first_not_of('0');
  if (first == std::string::npos) return "0";
  digits.erase(0, first);
  while (digits.back() == '0') {
    digits.pop_back();
    ++exponent;
  }
  return (negative ? "-" : "") + digits + "e" + std::to_string(exponent);
}

void flatten(std::string& out, const json::Value& v) {
  if (v.isNumber()) {
    out += plainNumber(v.numberText());
  } else if (v.isArray()) {
    out += '[';
    for (const auto& e : v.asArray()) {
      flatten(out, e);
      out += ',';
    }
    out += ']';
  } else if (v.isObject()) {
    std::map<std::string_view, const json::Value*> sorted;
    for (const auto& [key, value] : v.asObject()) sorted[key] = &value;
    out += '{';
    for (const auto& [key, value] : sorted) {
      json::dumpString(out, key);
      out += ':';
      flatten(out, *value);
      out += ',';
    }
    out += '}';
  } else {
    json::dumpTo(out, v);
  }
}

}  // namespace

std::string comparable(const Object& o) {
  std::string text = o.id + "\n" + std::to_string(o.last_modified) + (o.deleted ? "-" : "+");
  if (o.deleted) return text;
  auto v = json::parse(o.data, json::Limits(kMaxDepth));
  if (v.ok()) flatten(text, *v);
  return text;
}

}  // namespace godwit::store
