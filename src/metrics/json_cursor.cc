#include "metrics/json_cursor.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace godwit::metrics {
namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }

void appendUtf8(std::string& out, std::uint32_t cp) {
  const auto put = [&](std::uint32_t b) { out += static_cast<char>(b); };
  if (cp < 0x80) {
    put(cp);
  } else if (cp < 0x800) {
    put(0xc0 | cp >> 6);
    put(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    put(0xe0 | cp >> 12);
    put(0x80 | (cp >> 6 & 0x3f));
    put(0x80 | (cp & 0x3f));
  } else {
    put(0xf0 | cp >> 18);
    put(0x80 | (cp >> 12 & 0x3f));
    put(0x80 | (cp >> 6 & 0x3f));
    put(0x80 | (cp & 0x3f));
  }
}

// Bytes from `p` that can be no quote, backslash or control character; in steps of eight.
std::size_t plainBytes(const char* p, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101;
  constexpr std::uint64_t kHigh = 0x8080'8080'8080'8080;
  const auto zeroIn = [](std::uint64_t w) { return (w - kOnes) & ~w & kHigh; };
  const char* q = p;
  for (; end - q >= 8; q += 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, q, sizeof w);
    const std::uint64_t below_space = (w - kOnes * 0x20) & ~w & kHigh;
    if ((zeroIn(w ^ kOnes * '"') | zeroIn(w ^ kOnes * '\\') | below_space) != 0) break;
  }
  return static_cast<std::size_t>(q - p);
}

}  // namespace

bool JsonCursor::enter(char open) {
  if (peek() != open) return fail(open == '{' ? "an object is missing" : "a list is missing");
  if (++depth_ > kMaxDepth) return fail("nested too deep");
  ++p_;
  first_ = true;
  return true;
}

// Steps over the comma or out at the closing character.
bool JsonCursor::next(char close) {
  if (!ok()) return false;
  const char c = peek();
  const bool first = first_;
  first_ = false;
  if (c == close) {
    ++p_;
    --depth_;
    return false;
  }
  if (first) return true;
  if (c != ',') return fail("a comma is missing");
  ++p_;
  if (peek() == close) return fail("a comma too many");
  return true;
}

bool JsonCursor::key(std::string_view& name) {
  if (!next('}') || !view(name)) return false;
  if (peek() != ':') return fail("a colon is missing");
  ++p_;
  return true;
}

bool JsonCursor::element() { return next(']'); }

bool JsonCursor::view(std::string_view& out) {
  if (peek() != '"') return fail("a string is missing");
  const char* start = ++p_;
  p_ += plainBytes(p_, end_);
  while (p_ != end_ && *p_ != '"' && *p_ != '\\' && static_cast<unsigned char>(*p_) >= 0x20) ++p_;
  if (p_ != end_ && *p_ == '"') {
    out = std::string_view(start, static_cast<std::size_t>(p_++ - start));
    return true;
  }
  scratch_.assign(start, p_);
  while (p_ != end_) {
    const char c = *p_++;
    if (c == '"') {
      out = scratch_;
      return true;
    }
    if (static_cast<unsigned char>(c) < 0x20) return fail("a control character in a string");
    if (c != '\\') {
      scratch_ += c;
    } else if (!escape()) {
      return false;
    }
  }
  return fail("a string does not end");
}

bool JsonCursor::hex4(std::uint32_t& out) {
  if (end_ - p_ < 4) return fail("a broken escape");
  out = 0;
  const auto r = std::from_chars(p_, p_ + 4, out, 16);
  if (r.ptr != p_ + 4 || *p_ == '-') return fail("a broken escape");
  p_ += 4;
  return true;
}

bool JsonCursor::escape() {
  if (p_ == end_) return fail("a string does not end");
  switch (*p_++) {
    case '"':
      scratch_ += '"';
      return true;
    case '\\':
      scratch_ += '\\';
      return true;
    case '/':
      scratch_ += '/';
      return true;
    case 'b':
      scratch_ += '\b';
      return true;
    case 'f':
      scratch_ += '\f';
      return true;
    case 'n':
      scratch_ += '\n';
      return true;
    case 'r':
      scratch_ += '\r';
      return true;
    case 't':
      scratch_ += '\t';
      return true;
    case 'u':
      break;
    default:
      return fail("an unknown escape");
  }
  std::uint32_t cp = 0;
  if (!hex4(cp)) return false;
  if (cp >= 0xd800 && cp < 0xdc00 && end_ - p_ >= 6 && p_[0] == '\\' && p_[1] == 'u') {
    const char* back = p_;
    p_ += 2;
    std::uint32_t low = 0;
    if (!hex4(low)) return false;
    if (low >= 0xdc00 && low < 0xe000) {
      cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    } else {
      p_ = back;
    }
  }
  // Half a surrogate pair has no UTF-8; Python keeps it, we show that something was there.
  appendUtf8(scratch_, cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp);
  return true;
}

bool JsonCursor::string(std::string& out) {
  std::string_view v;
  if (!view(v)) return false;
  out = v;
  return true;
}

bool JsonCursor::word(std::string_view w) {
  if (static_cast<std::size_t>(end_ - p_) < w.size() || std::string_view(p_, w.size()) != w) {
    return false;
  }
  p_ += w.size();
  return true;
}

bool JsonCursor::number(Number& out) {
  out = {};
  peek();
  if (word("NaN")) {
    out.d = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (word("Infinity") || word("-Infinity")) {
    out.d = std::numeric_limits<double>::infinity();
    return true;
  }
  const char* start = p_;
  const char* q = p_;
  if (q != end_ && *q == '-') ++q;
  const char* digits = q;
  while (q != end_ && isDigit(*q)) ++q;
  if (q == digits || (*digits == '0' && q - digits > 1)) return fail("a number is missing");
  bool whole = true;
  if (end_ - q > 1 && *q == '.' && isDigit(q[1])) {
    whole = false;
    for (++q; q != end_ && isDigit(*q); ++q) {
    }
  }
  if (q != end_ && (*q == 'e' || *q == 'E')) {
    const char* x = q + 1;
    if (x != end_ && (*x == '+' || *x == '-')) ++x;
    if (x != end_ && isDigit(*x)) {
      whole = false;
      for (q = x; q != end_ && isDigit(*q); ++q) {
      }
    }
  }
  p_ = q;
  if (whole && std::from_chars(start, q, out.i).ec == std::errc{}) {
    out.is_int = true;
    out.d = static_cast<double>(out.i);
    return true;
  }
  const auto r = std::from_chars(start, q, out.d);
  if (r.ec == std::errc::result_out_of_range) {
    // from_chars leaves the value alone; tell "too large" from "too small" as Python does.
    out.d = std::strtod(std::string(start, q).c_str(), nullptr);
  }
  return true;
}

bool JsonCursor::boolean(bool& out) {
  peek();
  if (word("true")) {
    out = true;
  } else if (word("false")) {
    out = false;
  } else {
    return fail("true or false is missing");
  }
  return true;
}

bool JsonCursor::null() {
  peek();
  return word("null") || fail("null is missing");
}

bool JsonCursor::skip() {
  std::string_view ignored;
  Number number_ignored;
  bool bool_ignored = false;
  switch (peek()) {
    case '{':
      if (enter('{')) {
        while (key(ignored)) skip();
      }
      return ok();
    case '[':
      if (enter('[')) {
        while (element()) skip();
      }
      return ok();
    case '"':
      return view(ignored);
    case 't':
    case 'f':
      return boolean(bool_ignored);
    case 'n':
      return null();
    default:
      return number(number_ignored);
  }
}

}  // namespace godwit::metrics
