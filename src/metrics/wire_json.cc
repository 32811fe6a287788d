#include "metrics/wire_json.h"

#include <charconv>
#include <cmath>
#include <system_error>

#include "metrics/time_format.h"

namespace godwit::metrics {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void appendUnicodeEscape(std::string& out, std::uint32_t unit) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 15];
}

// Decodes one code point of valid or broken UTF-8; broken bytes give U+FFFD one at a time.
std::uint32_t nextCodePoint(std::string_view s, std::size_t& i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
  const std::uint32_t first = byte(i);
  std::size_t more = 0;
  std::uint32_t least = 0;
  std::uint32_t cp = 0;
  if (first >= 0xc2 && first < 0xe0) {
    more = 1, least = 0x80, cp = first & 0x1f;
  } else if (first >= 0xe0 && first < 0xf0) {
    more = 2, least = 0x800, cp = first & 0x0f;
  } else if (first >= 0xf0 && first < 0xf5) {
    more = 3, least = 0x10000, cp = first & 0x07;
  }
  ++i;
  if (more == 0 || i + more > s.size()) return 0xfffd;
  for (std::size_t k = 0; k < more; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0xfffd;
    cp = cp << 6 | (byte(i + k) & 0x3fU);
  }
  if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) return 0xfffd;
  i += more;
  return cp;
}

void appendMetaValue(std::string& out, const MetaValue& v) {
  if (const auto* s = std::get_if<std::string>(&v)) {
    appendPythonString(out, *s);
  } else if (const auto* b = std::get_if<bool>(&v)) {
    out += *b ? "true" : "false";
  } else if (const auto* i = std::get_if<std::int64_t>(&v)) {
    out += std::to_string(*i);
  } else if (const auto* d = std::get_if<double>(&v)) {
    appendPythonFloat(out, *d);
  } else {
    out += "null";
  }
}

void appendCommon(std::string& out, const Sample& s, std::string_view format) {
  out += "\"metadata\": {";
  bool first = true;
  for (const auto& [key, value] : s.meta) {
    if (!first) out += ", ";
    first = false;
    appendPythonString(out, key);
    out += ": ";
    appendMetaValue(out, value);
  }
  out += "}, \"timestamp\": \"";
  if (format == kDefaultTimestampFormat) {
    appendTime(out, format, s.ts);
  } else {
    std::string text;
    appendTime(text, format, s.ts);
    out.pop_back();
    appendPythonString(out, text);
    out.pop_back();
  }
  out += "\", \"value\": ";
}

// What a timedelta can carry: whole microseconds, multiplied in this order.
double quantised(const Sample& s) {
  const double us = s.value / s.unit.per_second * 1e6;
  if (!(std::abs(us) < 9e18)) return s.value;
  return static_cast<double>(std::llround(us)) / 1e6 * s.unit.per_second;
}

void appendUnit(std::string& out, const Unit& unit) {
  out += "\"unit\": {\"name\": ";
  appendPythonString(out, unit.name);
  out += ", \"seconds_offset\": ";
  if (unit.integral && std::abs(unit.per_second) < 1e18) {
    out += std::to_string(static_cast<std::int64_t>(unit.per_second));
  } else {
    appendPythonFloat(out, unit.per_second);
  }
  out += "}, ";
}

}  // namespace

void appendPythonFloat(std::string& out, double v) {
  if (std::isnan(v)) {
    out += "NaN";
    return;
  }
  if (std::isinf(v)) {
    out += v < 0 ? "-Infinity" : "Infinity";
    return;
  }
  // The shortest digits come from to_chars; where the point goes is Python's own rule.
  char buf[40];
  const auto end = std::to_chars(buf, buf + sizeof buf, v, std::chars_format::scientific).ptr;
  std::string_view sci(buf, static_cast<std::size_t>(end - buf));
  if (sci.front() == '-') {
    out += '-';
    sci.remove_prefix(1);
  }
  const std::size_t e = sci.find('e');
  int exp = 0;
  const char* exp_at = sci.data() + e + 1;
  if (*exp_at == '+') ++exp_at;
  std::from_chars(exp_at, sci.data() + sci.size(), exp);
  char digits[24];
  std::size_t n = 0;
  for (const char c : sci.substr(0, e)) {
    if (c != '.') digits[n++] = c;
  }
  if (exp < -4 || exp >= 16) {
    out += digits[0];
    if (n > 1) (out += '.').append(digits + 1, n - 1);
    out += exp < 0 ? "e-" : "e+";
    const int a = std::abs(exp);
    if (a < 10) out += '0';
    out += std::to_string(a);
  } else if (exp < 0) {
    (out += "0.").append(static_cast<std::size_t>(-exp - 1), '0').append(digits, n);
  } else {
    const auto whole = static_cast<std::size_t>(exp) + 1;
    if (n <= whole) {
      out.append(digits, n).append(whole - n, '0') += ".0";
    } else {
      (out.append(digits, whole) += '.').append(digits + whole, n - whole);
    }
  }
}

void appendPythonString(std::string& out, std::string_view s) {
  out += '"';
  for (std::size_t i = 0; i < s.size();) {
    const char c = s[i];
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
      out += c;
      ++i;
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x80) {
          appendUnicodeEscape(out, static_cast<unsigned char>(c));
          break;
        }
        std::uint32_t cp = nextCodePoint(s, i);
        if (cp >= 0x10000) {
          cp -= 0x10000;
          appendUnicodeEscape(out, 0xd800 + (cp >> 10));
          appendUnicodeEscape(out, 0xdc00 + (cp & 0x3ff));
        } else {
          appendUnicodeEscape(out, cp);
        }
        continue;
    }
    ++i;
  }
  out += '"';
}

void appendWireJson(std::string& out, const Metrics& m, TimeNs serialized_at_ns) {
  const std::string_view format = m.timestamp_format;
  out += "{\"dimensions\": [";
  for (std::size_t i = 0; i < m.dims.size(); ++i) {
    out += i ? ", {\"name\": " : "{\"name\": ";
    appendPythonString(out, m.dims[i].first);
    out += ", \"value\": ";
    appendPythonString(out, m.dims[i].second);
    out += '}';
  }
  out += "], \"counters\": [";
  for (std::size_t i = 0; i < m.counters.size(); ++i) {
    out += i ? ", {\"name\": " : "{\"name\": ";
    appendPythonString(out, m.counters[i].name);
    out += ", ";
    appendCommon(out, m.counters[i], format);
    appendPythonFloat(out, m.counters[i].value);
    out += '}';
  }
  out += "], \"timers\": [";
  for (std::size_t i = 0; i < m.timers.size(); ++i) {
    const Sample& s = m.timers[i];
    out += i ? ", {\"name\": " : "{\"name\": ";
    appendPythonString(out, s.name);
    out += ", ";
    appendUnit(out, s.unit.name.empty() ? Seconds : s.unit);
    appendCommon(out, s, format);
    appendPythonFloat(out, s.unit.name.empty() ? s.value : quantised(s));
    out += '}';
  }
  out += "], \"timestamp_format\": ";
  appendPythonString(out, format);
  out += ", \"serialized_at\": ";
  if (m.serialized_at) {
    appendPythonString(out, *m.serialized_at);
  } else {
    std::string text;
    appendTime(text, format, serialized_at_ns);
    appendPythonString(out, text);
  }
  out += '}';
}

}  // namespace godwit::metrics
