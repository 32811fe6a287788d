#include "store/like.h"

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include <cstdint>
#include <optional>

namespace godwit::store {
namespace {

// Created once and kept: towlower_l is the only user and takes no lock.
locale_t utf8Locale() {
  static const locale_t kLocale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kLocale;
}

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::size_t charLength(std::string_view s, std::size_t at) {
  std::size_t n = 1;
  while (at + n < s.size() && n < 4 && continuation(s[at + n])) ++n;
  return n;
}

std::uint32_t decode(std::string_view c) {
  auto b = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(c[i]));
  };
  switch (c.size()) {
    case 2:
      return (b(0) & 0x1F) << 6 | (b(1) & 0x3F);
    case 3:
      return (b(0) & 0x0F) << 12 | (b(1) & 0x3F) << 6 | (b(2) & 0x3F);
    case 4:
      return (b(0) & 0x07) << 18 | (b(1) & 0x3F) << 12 | (b(2) & 0x3F) << 6 | (b(3) & 0x3F);
    default:
      return b(0);
  }
}

void append(std::string& out, std::uint32_t c) {
  auto byte = [&](std::uint32_t v) { out.push_back(static_cast<char>(v)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6);
    byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3F));
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  }
}

// Length of the match of `piece` at `at`, or nothing.
std::optional<std::size_t> matchAt(std::string_view text, std::size_t at, std::string_view piece,
                                   char any) {
  std::size_t t = at;
  for (char c : piece) {
    if (t >= text.size()) return std::nullopt;
    if (c == any) {
      t += charLength(text, t);
    } else if (text[t++] != c) {
      return std::nullopt;
    }
  }
  return t - at;
}

}  // namespace

std::string lowerUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    char c = text[i];
    if (static_cast<unsigned char>(c) < 0x80) {
      out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
      ++i;
      continue;
    }
    std::size_t n = charLength(text, i);
    std::string_view one = text.substr(i, n);
    i += n;
    if (n == 1 || !utf8Locale()) {
      out.append(one);
    } else {
      append(out, static_cast<std::uint32_t>(::towlower_l(decode(one), utf8Locale())));
    }
  }
  return out;
}

Like::Like(std::string_view pattern) {
  std::string lower = lowerUtf8(pattern);
  Piece piece;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    char c = lower[i];
    if (c == '*' || c == '%') {
      pieces_.push_back(std::move(piece));
      piece = Piece();
    } else if (c == '_') {
      piece.text.push_back(kAny);
      piece.has_any = true;
    } else {
      if (c == '\\' && i + 1 < lower.size() && lower[i + 1] != '*') c = lower[++i];
      piece.text.push_back(c);
    }
  }
  pieces_.push_back(std::move(piece));
}

bool Like::matches(std::string_view original) const {
  std::string text = lowerUtf8(original);
  auto head = matchAt(text, 0, pieces_.front().text, kAny);
  if (!head) return false;
  std::size_t at = *head;
  if (pieces_.size() == 1) return at == text.size();
  // The leftmost place of each middle piece is as good as any other.
  for (std::size_t i = 1; i + 1 < pieces_.size(); ++i) {
    const Piece& p = pieces_[i];
    if (!p.has_any) {
      if (p.text.empty()) continue;
      // memmem is linear; a naive search would let one pattern cost length times length.
      const void* hit = ::memmem(text.data() + at, text.size() - at, p.text.data(), p.text.size());
      if (!hit) return false;
      at = static_cast<std::size_t>(static_cast<const char*>(hit) - text.data()) + p.text.size();
      continue;
    }
    std::optional<std::size_t> n;
    while (at < text.size() && !(n = matchAt(text, at, p.text, kAny))) at += charLength(text, at);
    if (!n) return false;
    at += *n;
  }
  const Piece& tail = pieces_.back();
  if (!tail.has_any) {
    return text.size() - at >= tail.text.size() && std::string_view(text).ends_with(tail.text);
  }
  for (; at <= text.size(); at += at < text.size() ? charLength(text, at) : 1) {
    if (auto n = matchAt(text, at, tail.text, kAny); n && at + *n == text.size()) return true;
  }
  return false;
}

}  // namespace godwit::store
