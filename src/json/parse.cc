#include "json/scan.h"
#include "json/value.h"

namespace godwit::json {
namespace {

using detail::Scanner;

std::string decoded(const Scanner::String& s) {
  if (!s.escaped) return std::string(s.raw);
  std::string out;
  out.reserve(s.raw.size());
  detail::unescapeTo(out, s.raw);
  return out;
}

class Parser {
 public:
  Parser(std::string_view text, Limits limits) : scan_(text, limits.max_depth) {}

  Result<Value> document() {
    Value v;
    const char* p = value(detail::skipSpace(scan_.begin(), scan_.end()), 0, v);
    if (p == nullptr || !scan_.atEnd(p)) return scan_.error();
    return v;
  }

 private:
  const char* value(const char* p, std::size_t depth, Value& out) {
    if (p == scan_.end()) return scan_.noValue(p, depth);
    const char* start = p;
    switch (*p) {
      case '"': {
        Scanner::String s;
        if ((p = scan_.string(p, s)) != nullptr) out = Value(decoded(s));
        return p;
      }
      case '{':
        return object(p, depth, out);
      case '[':
        return array(p, depth, out);
      case 'n':
      case 't':
      case 'f':
        if ((p = scan_.literal(p)) != nullptr && *start != 'n') out = Value(*start == 't');
        return p;
      default:
        if ((p = scan_.number(p)) != nullptr) out = Value::numberFromText(std::string(start, p));
        return p;
    }
  }

  const char* array(const char* p, std::size_t depth, Value& out) {
    if (depth >= scan_.maxDepth()) return scan_.tooDeep(p);
    out = Value::array();
    p = detail::skipSpace(p + 1, scan_.end());
    if (p != scan_.end() && *p == ']') return p + 1;
    for (bool closed = false; !closed;) {
      Value& element = out.asArray().emplace_back();
      if ((p = value(p, depth + 1, element)) == nullptr) return nullptr;
      if ((p = scan_.afterElement(p, ']', closed)) == nullptr) return nullptr;
    }
    return p;
  }

  const char* object(const char* p, std::size_t depth, Value& out) {
    if (depth >= scan_.maxDepth()) return scan_.tooDeep(p);
    out = Value::object();
    p = detail::skipSpace(p + 1, scan_.end());
    if (p != scan_.end() && *p == '}') return p + 1;
    for (bool closed = false; !closed;) {
      Scanner::String key;
      Value member;
      if ((p = scan_.member(p, key)) == nullptr) return nullptr;
      if ((p = value(p, depth + 1, member)) == nullptr) return nullptr;
      out.asObject().set(decoded(key), std::move(member));
      if ((p = scan_.afterElement(p, '}', closed)) == nullptr) return nullptr;
    }
    return p;
  }

  Scanner scan_;
};

}  // namespace

Result<Value> parse(std::string_view text, Limits limits) {
  return Parser(text, limits).document();
}

}  // namespace godwit::json
