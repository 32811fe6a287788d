#include <algorithm>
#include <cstring>

#include "json/dump.h"
#include "json/scan.h"
#include "json/text.h"

namespace godwit::json {
namespace {

constexpr std::size_t kPairwiseUpTo = 24;
constexpr std::size_t kSlack = 64;  // room kept beyond what is left to read; one character fits

// A key already written, as a range of the output, or the mark of an opened container.
struct Key {
  std::size_t offset = 0;
  std::size_t length = 0;
  std::uint64_t print = 0;  // equal keys have equal prints

  static std::uint64_t printOf(const char* p, std::size_t n) {
    std::uint64_t head = 0;
    std::uint64_t tail = 0;
    if (n >= 8) {
      std::memcpy(&head, p, 8);
      std::memcpy(&tail, p + n - 8, 8);
    } else if (n >= 4) {
      std::memcpy(&head, p, 4);
      std::memcpy(&tail, p + n - 4, 4);
    } else if (n > 0) {
      head = static_cast<unsigned char>(p[0]);
      tail = static_cast<std::uint64_t>(static_cast<unsigned char>(p[n / 2])) << 8 |
             static_cast<unsigned char>(p[n - 1]);
    }
    return (head * 0x9e3779b97f4a7c15) ^ (tail + n);
  }
};

// Copies valid JSON text token by token. The output is a raw buffer that always has room for all
// that is left to read plus kSlack; only what grows on its way (non-ASCII) has to check.
class Canonicalizer {
 public:
  Canonicalizer(std::string& out, std::string_view text)
      : out_(out), base_(out.size()), p_(text.data()), end_(text.data() + text.size()) {
    out_.resize(base_ + text.size() + kSlack);
    w_ = out_.data() + base_;
    keys_.reserve(32);
  }

  // False when an object has equal keys; the output is then unfinished.
  bool run() {
    while (p_ != end_) {
      char c = *p_;
      switch (c) {
        case ' ':
        case '\n':
        case '\r':
        case '\t':
          ++p_;
          continue;
        case '"':
          string();
          continue;
        case '{':
        case '[':
          open(c == '{');
          break;
        case '}':
        case ']':
          if (!close()) return false;
          break;
        case ',':
          at_key_ = in_object_;
          break;
        case ':':
          at_key_ = false;
          break;
        default:
          scalar();
          continue;
      }
      *w_++ = c;
      ++p_;
    }
    out_.resize(static_cast<std::size_t>(w_ - out_.data()));
    return true;
  }

  void undo() { out_.resize(base_); }

 private:
  void open(bool object) {
    keys_.push_back({first_key_, in_object_, 0});
    first_key_ = keys_.size();
    in_object_ = at_key_ = object;
  }

  bool close() {
    if (first_key_ == 0) return true;  // more closed than opened: not valid, but not our undoing
    if (in_object_ && hasEqualKeys()) return false;
    Key mark = keys_[first_key_ - 1];
    keys_.resize(first_key_ - 1);
    first_key_ = mark.offset;
    in_object_ = mark.length != 0;
    at_key_ = false;
    return true;
  }

  [[nodiscard]] std::string_view textOf(const Key& k) const {
    return std::string_view(out_).substr(k.offset, k.length);
  }

  bool hasEqualKeys() {
    auto first = keys_.begin() + static_cast<std::ptrdiff_t>(first_key_);
    auto n = static_cast<std::size_t>(keys_.end() - first);
    if (n <= kPairwiseUpTo) {
      for (std::size_t i = 1; i < n; ++i) {
        std::uint64_t print = first[static_cast<std::ptrdiff_t>(i)].print;
        for (auto k = first; k != first + static_cast<std::ptrdiff_t>(i); ++k) {
          if (k->print == print && textOf(*k) == textOf(first[static_cast<std::ptrdiff_t>(i)])) {
            return true;
          }
        }
      }
      return false;
    }
    std::sort(first, keys_.end(), [this](const Key& a, const Key& b) {
      return a.print != b.print ? a.print < b.print : textOf(a) < textOf(b);
    });
    return std::adjacent_find(first, keys_.end(), [this](const Key& a, const Key& b) {
             return a.print == b.print && textOf(a) == textOf(b);
           }) != keys_.end();
  }

  void scalar() {
    do {
      *w_++ = *p_++;
    } while (p_ != end_ && (static_cast<unsigned char>(*p_) > ' ') && *p_ != ',' && *p_ != ']' &&
             *p_ != '}');
  }

  void string() {
    *w_++ = *p_++;
    std::size_t start = static_cast<std::size_t>(w_ - out_.data());
    for (;;) {
      plainRun();
      if (p_ == end_) return;
      char c = *p_;
      if (c == '"') break;
      grow();
      if (c == '\\') {
        detail::CodePoint e = detail::decodeEscape(p_, end_);
        w_ = detail::putEscaped(w_, e.value);
        p_ += e.consumed;
      } else if (static_cast<unsigned char>(c) < 0x80) {
        w_ = detail::putEscaped(w_, static_cast<unsigned char>(c));
        ++p_;
      } else {
        std::size_t n = detail::utf8Length(p_, end_);
        w_ = detail::putEscaped(w_, n == 0 ? 0xfffd : detail::utf8Decode(p_, n));
        p_ += n == 0 ? 1 : n;
      }
    }
    if (at_key_) {
      std::size_t length = static_cast<std::size_t>(w_ - out_.data()) - start;
      keys_.push_back({start, length, Key::printOf(out_.data() + start, length)});
    }
    *w_++ = *p_++;
  }

  // Copies up to the next character that needs a look.
  void plainRun() {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i del = _mm_set1_epi8(0x7f);
    while (end_ - p_ >= 16) {
      __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p_));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(w_), x);
      __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
                                 _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_cmpeq_epi8(x, del)));
      if (auto mask = static_cast<unsigned>(_mm_movemask_epi8(odd)); mask != 0) {
        p_ += __builtin_ctz(mask);
        w_ += __builtin_ctz(mask);
        return;
      }
      p_ += 16;
      w_ += 16;
    }
#endif
    const char* stop = detail::skipPlain(p_, end_);
    auto n = static_cast<std::size_t>(stop - p_);
    std::memcpy(w_, p_, n);
    p_ += n;
    w_ += n;
  }

  // Restores the invariant on room before a character that may grow.
  void grow() {
    auto left = static_cast<std::size_t>(end_ - p_);
    auto used = static_cast<std::size_t>(w_ - out_.data());
    if (out_.size() - used >= left + kSlack) return;
    out_.resize(used + left * 2 + 4 * kSlack);
    w_ = out_.data() + used;
  }

  std::string& out_;
  std::size_t base_;
  const char* p_;
  const char* end_;
  char* w_ = nullptr;
  std::vector<Key> keys_;      // of all open objects, each group behind its container's mark
  std::size_t first_key_ = 0;  // of the innermost container; 0 outside
  bool in_object_ = false;
  bool at_key_ = false;
};

}  // namespace

void canonicalTo(std::string& out, std::string_view valid) {
  Canonicalizer c(out, valid);
  if (c.run()) return;
  // Equal keys are rare: then the document is worth building.
  c.undo();
  if (auto v = parse(valid, Limits(detail::kMaxNesting)); v.ok()) dumpTo(out, *v);
}

}  // namespace godwit::json
