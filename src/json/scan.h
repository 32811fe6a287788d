// The JSON grammar, once: what parse(), sliceObject() and canonicalTo() share. Private to json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "godwit/result.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace godwit::json::detail {

// Recursion is bounded by this even when a caller asks for more.
inline constexpr std::size_t kMaxNesting = 1024;

inline bool isSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool isDigit(char c) { return c >= '0' && c <= '9'; }

inline const char* skipSpace(const char* p, const char* end) {
  // Most texts have none or one between tokens.
  while (p != end && static_cast<unsigned char>(*p) <= ' ' && isSpace(*p)) ++p;
  return p;
}

// First byte at or after `p` that a string cannot hold as it is in canonical form: quote,
// backslash, control, DEL or non-ASCII.
inline const char* skipPlain(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i del = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // Signed: bytes from 0x80 up count as below the space too.
    __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
                               _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_cmpeq_epi8(x, del)));
    if (int mask = _mm_movemask_epi8(odd)) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  while (p != end) {
    char c = *p;
    if (c == '"' || c == '\\' || static_cast<signed char>(c) < 0x20 || c == 0x7f) break;
    ++p;
  }
  return p;
}

// Length of the well-formed UTF-8 sequence at `p` (which has its high bit set), 0 when broken.
std::size_t utf8Length(const char* p, const char* end);
// REQUIRES utf8Length(p, end) != 0.
std::uint32_t utf8Decode(const char* p, std::size_t length);
void utf8Append(std::string& out, std::uint32_t code_point);

// Code unit of four hex digits, or -1.
int hex4(const char* p, const char* end);

struct CodePoint {
  std::uint32_t value;
  std::size_t consumed;  // bytes of the escape
};
// The escape at `p` (a backslash), a surrogate pair as one. REQUIRES a text scanString() accepted.
CodePoint decodeEscape(const char* p, const char* end);
// The string between two quotes. Same requirement.
void unescapeTo(std::string& out, std::string_view raw);

// Walks over JSON text and checks it. Functions return where the token ends, or nullptr after
// setting the fault.
class Scanner {
 public:
  Scanner(std::string_view text, std::size_t max_depth)
      : begin_(text.data()),
        end_(text.data() + text.size()),
        max_depth_(max_depth < kMaxNesting ? max_depth : kMaxNesting) {}

  [[nodiscard]] const char* begin() const { return begin_; }
  [[nodiscard]] const char* end() const { return end_; }
  [[nodiscard]] std::size_t maxDepth() const { return max_depth_; }

  struct String {
    std::string_view raw;  // between the quotes
    bool escaped = false;
  };
  // `p` is the opening quote.
  const char* string(const char* p, String& out);
  const char* number(const char* p);
  // null, true or false.
  const char* literal(const char* p);
  // Any value; `depth` containers are open around it.
  const char* value(const char* p, std::size_t depth);
  // The separator after an element: the next element's start, or nullptr. `closed` is set when it
  // was `close`, and the position after it returned.
  const char* afterElement(const char* p, char close, bool& closed);
  // The start of a member's value; `key` is filled.
  const char* member(const char* p, String& key);
  [[nodiscard]] bool atEnd(const char* p);  // nothing but space follows; else a fault

  const char* fail(const char* at, std::string_view why) {
    at_ = at;
    why_ = why;
    return nullptr;
  }
  const char* tooDeep(const char* at) { return fail(at, "Nesting is too deep"); }
  // The text ends at `at`, where a value should be; `depth` containers are open.
  const char* noValue(const char* at, std::size_t depth);
  // "Parse error at offset 0: Invalid value.", in bytes. REQUIRES a fault.
  [[nodiscard]] Error error() const;

 private:
  [[nodiscard]] std::string brokenUtf8() const;

  const char* begin_;
  const char* end_;
  std::size_t max_depth_;
  const char* at_ = nullptr;
  std::string_view why_;
};

}  // namespace godwit::json::detail
