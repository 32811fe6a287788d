#include "json/scan.h"

#include <cstring>
#include <limits>

#include "json/number.h"

namespace godwit::json::detail {
namespace {

// The words of the parser that the predecessor uses, RapidJSON; positions are its own too.
constexpr std::string_view kEmpty = "The document is empty.";
constexpr std::string_view kInvalidValue = "Invalid value.";
constexpr std::string_view kMissingQuote = "Missing a closing quotation mark in string.";
constexpr std::string_view kBrokenUtf8 = "utf-8";
constexpr std::string_view kBadHex = "Incorrect hex digit after \\u escape in string.";
constexpr std::string_view kBadSurrogates = "The surrogate pair in string is invalid.";

inline unsigned byteAt(const char* p) { return static_cast<unsigned char>(*p); }

int hexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What a lead byte says of its sequence: how long, and the range of the second byte.
struct Sequence {
  std::size_t length = 0;  // 0: no lead byte
  unsigned low = 0x80;
  unsigned high = 0xbf;
};

Sequence sequenceOf(unsigned lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return {2};
  if (lead == 0xe0) return {3, 0xa0};
  if (lead == 0xed) return {3, 0x80, 0x9f};  // beyond: surrogates
  if (lead >= 0xe1 && lead <= 0xef) return {3};
  if (lead == 0xf0) return {4, 0x90};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  if (lead >= 0xf1 && lead <= 0xf3) return {4};
  return {};
}

// How many bytes at `p`, at least one, can be the beginning of a sequence.
std::size_t soundPart(const char* p, const char* end) {
  Sequence s = sequenceOf(byteAt(p));
  auto left = static_cast<std::size_t>(end - p);
  std::size_t n = 1;
  for (; n < s.length && n < left; ++n) {
    unsigned c = byteAt(p + n);
    if (c < (n == 1 ? s.low : 0x80) || c > (n == 1 ? s.high : 0xbf)) break;
  }
  return n;
}

bool isHighSurrogate(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool isLowSurrogate(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

}  // namespace

std::size_t utf8Length(const char* p, const char* end) {
  std::size_t n = sequenceOf(byteAt(p)).length;
  return n != 0 && soundPart(p, end) == n ? n : 0;
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
    if (p == end_) return fail(p, kMissingQuote);
    unsigned c = byteAt(p);
    if (c == '"') break;
    if (c >= 0x80) {
      std::size_t n = utf8Length(p, end_);
      if (n == 0) return fail(p, kBrokenUtf8);
      p += n;
    } else if (c == '\\') {
      escaped = true;
      bool known =
          end_ - p >= 2 && std::string_view("\"\\/bfnrtu").find(p[1]) != std::string_view::npos;
      if (!known) return fail(p, "Invalid escape character in string.");
      if (p[1] != 'u') {
        p += 2;
        continue;
      }
      int unit = hex4(p + 2, end_);
      if (unit < 0) return fail(p, kBadHex);
      if (isLowSurrogate(unit)) return fail(p, kBadSurrogates);
      if (isHighSurrogate(unit)) {
        bool second = end_ - p >= 8 && p[6] == '\\' && p[7] == 'u';
        if (!second) return fail(p, kBadSurrogates);
        int low = hex4(p + 8, end_);
        if (low < 0) return fail(p, kBadHex);
        if (!isLowSurrogate(low)) return fail(p, kBadSurrogates);
        p += 6;
      }
      p += 6;
    } else if (c < 0x20) {
      return fail(p, c == 0 ? kMissingQuote : "Invalid encoding in string.");
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
  bool scaled = false;
  if (p != end_ && *p == '-') ++p;
  if (p == end_ || !isDigit(*p)) return fail(p, kInvalidValue);
  if (*p == '0') {
    ++p;
  } else {
    while (p != end_ && isDigit(*p)) ++p;
  }
  if (p != end_ && *p == '.') {
    ++p;
    if (p == end_ || !isDigit(*p)) return fail(p, "Miss fraction part in number.");
    while (p != end_ && isDigit(*p)) ++p;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p != end_ && (*p == '+' || *p == '-')) ++p;
    if (p == end_ || !isDigit(*p)) return fail(p, "Miss exponent in number.");
    scaled = end_ - p > 2 && isDigit(p[1]) && isDigit(p[2]);
    while (p != end_ && isDigit(*p)) ++p;
  }
  // A client would read infinity, and PostgreSQL answer hundreds of digits.
  if ((scaled || p - start > std::numeric_limits<double>::max_exponent10) &&
      exceedsDouble({start, static_cast<std::size_t>(p - start)})) {
    return fail(start, "Number too big to be stored in double.");
  }
  return p;
}

const char* Scanner::literal(const char* p) {
  std::string_view word = *p == 'n' ? "null" : *p == 't' ? "true" : "false";
  for (char c : word) {
    if (p == end_ || *p != c) return fail(p, kInvalidValue);
    ++p;
  }
  return p;
}

const char* Scanner::member(const char* p, String& key) {
  if (p == end_ || *p != '"') return fail(p, "Missing a name for object member.");
  p = string(p, key);
  if (p == nullptr) return nullptr;
  p = skipSpace(p, end_);
  if (p == end_ || *p != ':') return fail(p, "Missing a colon after a name of object member.");
  return skipSpace(p + 1, end_);
}

const char* Scanner::afterElement(const char* p, char close, bool& closed) {
  p = skipSpace(p, end_);
  if (p != end_ && *p == ',') return skipSpace(p + 1, end_);
  if (p == end_ || *p != close) {
    return fail(p, close == '}' ? "Missing a comma or '}' after an object member."
                                : "Missing a comma or ']' after an array element.");
  }
  closed = true;
  return p + 1;
}

const char* Scanner::noValue(const char* at, std::size_t depth) {
  return fail(at, depth == 0 ? kEmpty : kInvalidValue);
}

const char* Scanner::value(const char* p, std::size_t depth) {
  if (p == end_) return noValue(p, depth);
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
  fail(p, "The document root must not be followed by other values.");
  return false;
}

// The predecessor decodes the text before it parses it; these are Python's words.
std::string Scanner::brokenUtf8() const {
  constexpr char kHex[] = "0123456789abcdef";
  unsigned c = byteAt(at_);
  std::size_t n = soundPart(at_, end_);
  auto first = static_cast<std::size_t>(at_ - begin_);
  std::string out = "'utf-8' codec can't decode byte";
  if (n == 1) {
    out += " 0x";
    out += kHex[c >> 4];
    out += kHex[c & 15];
    out += " in position " + std::to_string(first);
  } else {
    out += "s in position " + std::to_string(first) + "-" + std::to_string(first + n - 1);
  }
  if (sequenceOf(c).length == 0) return out + ": invalid start byte";
  return out + (at_ + n == end_ ? ": unexpected end of data" : ": invalid continuation byte");
}

Error Scanner::error() const {
  if (why_ == kBrokenUtf8) return Error(ErrorCode::kInvalid, brokenUtf8());
  return Error(ErrorCode::kInvalid,
               "Parse error at offset " + std::to_string(at_ - begin_) + ": " + std::string(why_));
}

}  // namespace godwit::json::detail
