#include "kinto/query_value.h"

#include <algorithm>

#include "base/text.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

using json::Value;

constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;

}  // namespace

bool hasNul(const Value& v) {
  switch (v.kind()) {
    case json::Kind::kString:
      return v.asString().find('\0') != std::string::npos;
    case json::Kind::kArray:
      return std::any_of(v.asArray().begin(), v.asArray().end(), hasNul);
    case json::Kind::kObject:
      return std::any_of(v.asObject().begin(), v.asObject().end(), [](const auto& m) {
        return m.first.find('\0') != std::string::npos || hasNul(m.second);
      });
    default:
      return false;
  }
}

std::optional<Value> wholeNumber(const Value& v) {
  if (v.isInteger()) return v;
  if (v.isNumber()) {
    double d = v.asDouble();
    if (d > -9.2e18 && d < 9.2e18) return Value(static_cast<std::int64_t>(d));
    return std::nullopt;
  }
  if (v.isBool()) return Value(v.asBool() ? 1 : 0);
  if (v.isString()) {
    std::string_view text = trim(v.asString());
    std::string_view digits = text;
    if (!digits.empty() && (digits.front() == '-' || digits.front() == '+'))
      digits.remove_prefix(1);
    if (!isDigits(digits)) return std::nullopt;
    while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
    std::string number = text.front() == '-' && digits != "0" ? "-" : "";
    return Value::numberFromText(number + std::string(digits));
  }
  return std::nullopt;
}

bool isEmptyValue(const Value& v) {
  switch (v.kind()) {
    case json::Kind::kNull:
      return true;
    case json::Kind::kString:
      return v.asString().empty();
    case json::Kind::kArray:
      return v.asArray().empty();
    case json::Kind::kObject:
      return v.asObject().empty();
    default:
      return false;
  }
}

std::optional<Value> timestampOf(const Value& v, std::int64_t now_ms) {
  std::optional<std::int64_t> n;
  if (v.isString()) {
    std::string_view s = v.asString();
    if (s.size() > 2 && s.front() == '"' && s.back() == '"') s = s.substr(1, s.size() - 2);
    if (isDigits(s)) n = toInt(s);
  } else if (auto whole = v.isNull() ? std::nullopt : wholeNumber(v)) {
    n = whole->toInt();
  }
  if (!n || *n < 0 || *n >= now_ms + kDayMs) return std::nullopt;
  return Value(*n);
}

}  // namespace godwit::kinto
