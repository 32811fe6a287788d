#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "json/schema/schema.h"

namespace godwit::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Categories C* and Z* but the plain space, in the ranges that occur in practice.
bool printable(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad) return false;
  if (c == 0x1680 || (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f)) return false;
  if ((c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff) return false;
  if ((c >= 0xd800 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xfffb)) return false;
  if ((c & 0xfffe) == 0xfffe || c >= 0xe0000) return false;
  return true;
}

char32_t decode(std::string_view s, std::size_t& i) {
  auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
  unsigned char c = byte(i);
  std::size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
  char32_t point = more == 3 ? c & 0x07u : more == 2 ? c & 0x0fu : more == 1 ? c & 0x1fu : c;
  ++i;
  for (; more > 0 && i < s.size(); --more, ++i) point = point << 6 | (byte(i) & 0x3fu);
  return point;
}

void appendHex(std::string& out, char32_t c) {
  int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[c >> shift & 15];
}

void appendString(std::string& out, std::string_view s, std::size_t limit) {
  bool single = s.find('\'') != std::string_view::npos;
  bool dbl = s.find('"') != std::string_view::npos;
  char quote = single && !dbl ? '"' : '\'';
  out += quote;
  std::size_t i = 0;
  while (i < s.size() && out.size() <= limit) {
    std::size_t start = i;
    char32_t c = decode(s, i);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (printable(c)) {
      out += s.substr(start, i - start);
    } else {
      appendHex(out, c);
    }
  }
  out += quote;
}

// float.__repr__: shortest digits; exponent below 1e-4 and from 1e16 on.
void appendDouble(std::string& out, double d) {
  if (!std::isfinite(d)) {
    out += d > 0 ? "inf" : "-inf";
    return;
  }
  char buf[64];
  auto sci = std::to_chars(buf, buf + sizeof buf, d, std::chars_format::scientific);
  std::string_view text(buf, static_cast<std::size_t>(sci.ptr - buf));
  std::size_t e = text.find('e');
  int exponent = 0;
  const char* first = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
  std::from_chars(first, text.data() + text.size(), exponent);
  if (d != 0 && (exponent < -4 || exponent >= 16)) {
    out += text;
    return;
  }
  char fixed[400];
  auto fix = std::to_chars(fixed, fixed + sizeof fixed, d, std::chars_format::fixed);
  std::string_view plain(fixed, static_cast<std::size_t>(fix.ptr - fixed));
  out += plain;
  if (plain.find('.') == std::string_view::npos) out += ".0";
}

void append(std::string& out, const Value& v, std::size_t limit) {
  if (out.size() > limit) return;
  switch (v.kind()) {
    case Kind::kNull:
      out += "None";
      return;
    case Kind::kBool:
      out += v.asBool() ? "True" : "False";
      return;
    case Kind::kString:
      appendString(out, v.asString(), limit);
      return;
    case Kind::kNumber:
      if (v.isInteger()) {
        out += v.numberText() == "-0" ? "0" : v.numberText();
      } else {
        appendDouble(out, v.asDouble());
      }
      return;
    case Kind::kArray: {
      out += '[';
      bool first = true;
      for (const Value& each : v.asArray()) {
        if (!first) out += ", ";
        first = false;
        append(out, each, limit);
        if (out.size() > limit) break;
      }
      out += ']';
      return;
    }
    case Kind::kObject: {
      out += '{';
      bool first = true;
      for (const auto& [key, each] : v.asObject()) {
        if (!first) out += ", ";
        first = false;
        appendString(out, key, limit);
        out += ": ";
        append(out, each, limit);
        if (out.size() > limit) break;
      }
      out += '}';
      return;
    }
  }
}

}  // namespace

std::string pythonRepr(const Value& value, std::size_t limit) {
  std::string out;
  append(out, value, limit);
  if (out.size() > limit) {
    // Cut between characters.
    std::size_t n = limit;
    while (n > 0 && (static_cast<unsigned char>(out[n]) & 0xc0) == 0x80) --n;
    out.resize(n);
    out += "...";
  }
  return out;
}

}  // namespace godwit::json
