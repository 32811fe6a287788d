#include "json/dump.h"

#include "json/scan.h"
#include "json/value.h"

namespace godwit::json {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";

char* putUnit(char* out, std::uint32_t unit) {
  *out++ = '\\';
  *out++ = 'u';
  for (int shift : {12, 8, 4, 0}) *out++ = kHex[unit >> shift & 15];
  return out;
}

}  // namespace

char* detail::putEscaped(char* out, std::uint32_t c) {
  char name = 0;
  switch (c) {
    case '"':
    case '\\':
      name = static_cast<char>(c);
      break;
    case '\b':
      name = 'b';
      break;
    case '\f':
      name = 'f';
      break;
    case '\n':
      name = 'n';
      break;
    case '\r':
      name = 'r';
      break;
    case '\t':
      name = 't';
      break;
    default:
      break;
  }
  if (name != 0) {
    *out++ = '\\';
    *out++ = name;
    return out;
  }
  if (c >= 0x20 && c < 0x7f) {
    *out++ = static_cast<char>(c);
    return out;
  }
  if (c < 0x10000) return putUnit(out, c);
  out = putUnit(out, 0xd800 + ((c - 0x10000) >> 10));
  return putUnit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

void dumpString(std::string& out, std::string_view utf8) {
  const char* p = utf8.data();
  const char* end = p + utf8.size();
  out += '"';
  while (p != end) {
    const char* run = p;
    p = detail::skipPlain(p, end);
    out.append(run, p);
    if (p == end) break;
    std::uint32_t c = static_cast<unsigned char>(*p);
    std::size_t n = 1;
    if (c >= 0x80) {
      n = detail::utf8Length(p, end);
      c = n == 0 ? 0xfffd : detail::utf8Decode(p, n);
      n = n == 0 ? 1 : n;
    }
    char buf[detail::kMaxEscaped];
    out.append(buf, detail::putEscaped(buf, c));
    p += n;
  }
  out += '"';
}

void dumpTo(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Kind::kNull:
      out += "null";
      return;
    case Kind::kString:
      dumpString(out, value.asString());
      return;
    case Kind::kNumber:
      out += value.numberText();
      return;
    case Kind::kBool:
      out += value.asBool() ? "true" : "false";
      return;
    case Kind::kArray: {
      char separator = '[';
      for (const Value& v : value.asArray()) {
        out += separator;
        dumpTo(out, v);
        separator = ',';
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case Kind::kObject:
      break;
  }
  char separator = '{';
  for (const auto& [key, v] : value.asObject()) {
    out += separator;
    dumpString(out, key);
    out += ':';
    dumpTo(out, v);
    separator = ',';
  }
  out += separator == '{' ? "{}" : "}";
}

std::string dump(const Value& value) {
  std::string out;
  dumpTo(out, value);
  return out;
}

}  // namespace godwit::json
