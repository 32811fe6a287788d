#include "json/scan.h"

#include <cstring>

namespace godwit::json::detail {
namespace {

inline unsigned byteAt(const char* p) { return static_cast<unsigned char>(*p); }

int hexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool isHighSurrogate(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool isLowSurrogate(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

}  // namespace

std::size_t utf8Length(const char* p, const char* end) {
  unsigned c = byteAt(p);
  std::size_t n = 0;
  unsigned lo = 0x80;
  unsigned hi = 0xbf;
  if (c >= 0xc2 && c <= 0xdf) {
    n = 2;
  } else if (c >= 0xe0 && c <= 0xef) {
    n = 3;
    if (c == 0xe0) lo = 0xa0;
    if (c == 0xed) hi = 0x9f;  // surrogates
  } else if (c >= 0xf0 && c <= 0xf4) {
    n = 4;
    if (c == 0xf0) lo = 0x90;
    if (c == 0xf4) hi = 0x8f;
  } else {
    return 0;
  }
  if (static_cast<std::size_t>(end - p) < n) return 0;
  if (byteAt(p + 1) < lo || byteAt(p + 1) > hi) return 0;
  for (std::size_t k = 2; k < n; ++k) {
    if ((byteAt(p + k) & 0xc0) != 0x80) return 0;
  }
  return n;
}

std::uint32_t utf8Decode(const char* p, std::size_t length) {
  static constexpr unsigned kLead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t v = byteAt(p) & kLead[length];
  for (std::size_t k = 1; k < length; ++k) v = v << 6 | (byteAt(p + k) & 0x3f);
  return v;
}

void utf8Append(std::string& out, std::uint32_t v) {
  auto put = [&out](std::uint32_t b) { out += static_cast<char>(b); };
  if (v < 0x80) {
    put(v);
  } else if (v < 0x800) {
    put(0xc0 | v >> 6);
    put(0x80 | (v & 0x3f));
  } else if (v < 0x10000) {
    put(0xe0 | v >> 12);
    put(0x80 | (v >> 6 & 0x3f));
    put(0x80 | (v & 0x3f));
  } else {
    put(0xf0 | v >> 18);
    put(0x80 | (v >> 12 & 0x3f));
    put(0x80 | (v >> 6 & 0x3f));
    put(0x80 | (v & 0x3f));
  }
}

int hex4(const char* p, const char* end) {
  if (end - p < 4) return -1;
  int v = 0;
  for (int i = 0; i < 4; ++i) {
    int h = hexValue(p[i]);
    if (h < 0) return -1;
    v = v << 4 | h;
  }
  return v;
}

CodePoint decodeEscape(const char* p, const char* end) {
  if (end - p < 2) return {'\\', 1};
  switch (p[1]) {
    case 'b':
      return {'\b', 2};
    case 'f':
      return {'\f', 2};
    case 'n':
      return {'\n', 2};
    case 'r':
      return {'\r', 2};
    case 't':
      return {'\t', 2};
    case 'u':
      break;
    default:
      return {static_cast<unsigned char>(p[1]), 2};
  }
  int unit = hex4(p + 2, end);
  if (unit < 0) return {0xfffd, 2};
  if (isHighSurrogate(unit) && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    int low = hex4(p + 8, end);
    if (isLowSurrogate(low)) {
      return {0x10000 + (static_cast<std::uint32_t>(unit - 0xd800) << 10) +
                  static_cast<std::uint32_t>(low - 0xdc00),
              12};
    }
  }
  return {static_cast<std::uint32_t>(unit), 6};
}

void unescapeTo(std::string& out, std::string_view raw) {
  const char* p = raw.data();
  const char* end = p + raw.size();
  while (p != end) {
    auto* slash = static_cast<const char*>(std::memchr(p, '\\', static_cast<std::size_t>(end - p)));
    if (slash == nullptr) slash = end;
    out.append(p, slash);
    p = slash;
    if (p == end) break;
    CodePoint c = decodeEscape(p, end);
    utf8Append(out, c.value);
    p += c.consumed;
  }
}

const char* Scanner::string(const char* p, String& out) {
  const char* open = p++;
  bool escaped = false;
  for (;;) {
    p = skipPlain(p, end_);
    if (p == end_) return fail(open, "Unterminated string starting at");
    unsigned c = byteAt(p);
    if (c == '"') break;
    if (c >= 0x80) {
      std::size_t n = utf8Length(p, end_);
      if (n == 0) return fail(p, "Invalid UTF-8");
      p += n;
    } else if (c == '\\') {
      escaped = true;
      if (end_ - p < 2) return fail(open, "Unterminated string starting at");
      if (p[1] != 'u') {
        if (std::strchr("\"\\/bfnrt", p[1]) == nullptr || p[1] == '\0') {
          return fail(p, "Invalid \\escape");
        }
        p += 2;
        continue;
      }
      int unit = hex4(p + 2, end_);
      if (unit < 0) return fail(p + 1, "Invalid \\uXXXX escape");
      if (isLowSurrogate(unit)) return fail(p, "Lone surrogate in \\uXXXX escape");
      if (isHighSurrogate(unit)) {
        // Reading past `end_` is not possible: hex4 checks, and p[6], p[7] are tested first.
        bool pair =
            end_ - p >= 12 && p[6] == '\\' && p[7] == 'u' && isLowSurrogate(hex4(p + 8, end_));
        if (!pair) return fail(p, "Lone surrogate in \\uXXXX escape");
        p += 6;
      }
      p += 6;
    } else if (c < 0x20) {
      return fail(p, "Invalid control character at");
    } else {
      ++p;  // DEL
    }
  }
  out.raw = std::string_view(open + 1, static_cast<std::size_t>(p - open - 1));
  out.escaped = escaped;
  return p + 1;
}

const char* Scanner::number(const char* p) {
  const char* start = p;
  if (p != end_ && *p == '-') ++p;
  if (p == end_ || !isDigit(*p)) return fail(start, "Expecting value");
  if (*p == '0') {
    ++p;
  } else {
    while (p != end_ && isDigit(*p)) ++p;
  }
  // A fraction or exponent without digits is left for the caller, who finds no separator there.
  if (end_ - p >= 2 && *p == '.' && isDigit(p[1])) {
    ++p;
    while (p != end_ && isDigit(*p)) ++p;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    const char* e = p + 1;
    if (e != end_ && (*e == '+' || *e == '-')) ++e;
    if (e != end_ && isDigit(*e)) {
      while (e != end_ && isDigit(*e)) ++e;
      p = e;
    }
  }
  return p;
}

const char* Scanner::literal(const char* p) {
  auto left = static_cast<std::size_t>(end_ - p);
  if (left >= 4 && std::memcmp(p, "null", 4) == 0) return p + 4;
  if (left >= 4 && std::memcmp(p, "true", 4) == 0) return p + 4;
  if (left >= 5 && std::memcmp(p, "false", 5) == 0) return p + 5;
  return fail(p, "Expecting value");
}

const char* Scanner::member(const char* p, String& key) {
  if (p == end_ || *p != '"') return fail(p, "Expecting property name enclosed in double quotes");
  p = string(p, key);
  if (p == nullptr) return nullptr;
  p = skipSpace(p, end_);
  if (p == end_ || *p != ':') return fail(p, "Expecting ':' delimiter");
  return skipSpace(p + 1, end_);
}

const char* Scanner::afterElement(const char* p, char close, bool& closed) {
  p = skipSpace(p, end_);
  if (p != end_ && *p == ',') return skipSpace(p + 1, end_);
  if (p == end_ || *p != close) return fail(p, "Expecting ',' delimiter");
  closed = true;
  return p + 1;
}

const char* Scanner::value(const char* p, std::size_t depth) {
  if (p == end_) return fail(p, "Expecting value");
  switch (*p) {
    case '"': {
      String ignored;
      return string(p, ignored);
    }
    case '{':
    case '[': {
      if (depth >= max_depth_) return tooDeep(p);
      const bool object = *p == '{';
      const char close = object ? '}' : ']';
      p = skipSpace(p + 1, end_);
      if (p != end_ && *p == close) return p + 1;
      for (bool closed = false; !closed;) {
        String key;
        if (object && (p = member(p, key)) == nullptr) return nullptr;
        if ((p = value(p, depth + 1)) == nullptr) return nullptr;
        if ((p = afterElement(p, close, closed)) == nullptr) return nullptr;
      }
      return p;
    }
    case 'n':
    case 't':
    case 'f':
      return literal(p);
    default:
      return number(p);
  }
}

bool Scanner::atEnd(const char* p) {
  p = skipSpace(p, end_);
  if (p == end_) return true;
  fail(p, "Extra data");
  return false;
}

Error Scanner::error() const {
  std::size_t line = 1;
  std::size_t column = 1;
  std::size_t chars = 0;
  for (const char* p = begin_; p != at_; ++p) {
    if ((byteAt(p) & 0xc0) == 0x80) continue;  // count characters, not bytes
    ++chars;
    ++column;
    if (*p == '\n') {
      ++line;
      column = 1;
    }
  }
  return Error(ErrorCode::kInvalid, std::string(why_) + ": line " + std::to_string(line) +
                                        " column " + std::to_string(column) + " (char " +
                                        std::to_string(chars) + ")");
}

}  // namespace godwit::json::detail
