// Where a StatsD datagram's lines end and their values stand, 32 bytes at a time. Pure, inline
// because it runs for every line. Any thread.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace godwit::agent {

// Thirty-two bytes; those behind the end of a text count as zero.
class ScanBlock {
 public:
  static constexpr std::size_t kSize = 32;

  explicit ScanBlock(std::string_view text) {
    if (text.size() >= kSize) [[likely]] {
      load(text.data());
      return;
    }
    char padded[kSize] = {};
    if (!text.empty()) std::memcpy(padded, text.data(), text.size());
    load(padded);
  }

  // Bit i: byte i is `c`.
  [[nodiscard]] std::uint32_t equal(char c) const {
#if defined(__SSE2__)
    const __m128i want = _mm_set1_epi8(c);
    auto low = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(part_[0], want)));
    auto high = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(part_[1], want)));
    return low | high << 16;
#else
    std::uint32_t mask = 0;
    for (unsigned i = 0; i < kSize; ++i) mask |= std::uint32_t{part_[i] == c} << i;
    return mask;
#endif
  }

 private:
#if defined(__SSE2__)
  void load(const char* p) {
    part_[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    part_[1] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16));
  }
  __m128i part_[2];
#else
  void load(const char* p) { std::memcpy(part_, p, kSize); }
  char part_[kSize];
#endif
};

// One line, cut at its first value: "name" ':' "value" "|type|#tags". Without a ':' in front of the
// first '|', or without a '|', there is no such cut.
struct LineCut {
  std::string_view line;  // without its newline
  std::string_view name;
  std::string_view value;
  std::string_view sections;  // with the first '|'; empty: no cut
};

// Removes the first line from `text`, which is not empty. Lines may be empty.
inline LineCut cutLine(std::string_view& text) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t colon = kNone, bar = kNone, size = 0;
  for (std::size_t off = 0;; off += ScanBlock::kSize) {
    std::string_view rest = text.substr(off);
    const ScanBlock block(rest);
    std::uint32_t ends = block.equal('\n');
    // The end of the text ends its last line.
    if (rest.size() < ScanBlock::kSize) ends |= std::uint32_t{1} << rest.size();
    // Bits below the first end; all without one.
    const std::uint32_t in_line = (ends & (0 - ends)) - 1;
    if (bar == kNone) {
      const std::uint32_t colons = block.equal(':') & in_line;
      const std::uint32_t bars = block.equal('|') & in_line;
      if (colon == kNone && colons)
        colon = off + static_cast<std::size_t>(std::countr_zero(colons));
      if (bars) bar = off + static_cast<std::size_t>(std::countr_zero(bars));
    }
    if (ends) {
      size = off + static_cast<std::size_t>(std::countr_zero(ends));
      break;
    }
  }
  LineCut cut;
  cut.line = text.substr(0, size);
  if (colon < bar && bar != kNone) {
    cut.name = cut.line.substr(0, colon);
    cut.value = cut.line.substr(colon + 1, bar - colon - 1);
    cut.sections = cut.line.substr(bar);
  }
  text.remove_prefix(std::min(size + 1, text.size()));
  return cut;
}

// Lines that hold more than a '\r'.
inline std::size_t countLines(std::string_view text) {
  std::size_t lines = 0;
  // Bits 0 and 1 are the two bytes in front of the block; the start of the text is like a newline.
  std::uint64_t newlines = 2, returns = 0;
  for (;;) {
    const ScanBlock block(text);
    newlines |= std::uint64_t{block.equal('\n')} << 2;
    returns |= std::uint64_t{block.equal('\r')} << 2;
    const bool last = text.size() < ScanBlock::kSize;
    std::uint64_t ends = newlines & ~std::uint64_t{3};
    if (last) ends |= std::uint64_t{4} << text.size();
    const std::uint64_t begins = newlines << 1;
    const std::uint64_t behind_lone_return = (returns & begins) << 1;
    // Few bits are set, and counting them at once takes an instruction that not every x86 has.
    for (std::uint64_t b = ends & ~begins & ~behind_lone_return; b != 0; b &= b - 1) ++lines;
    if (last) return lines;
    newlines >>= ScanBlock::kSize;
    returns >>= ScanBlock::kSize;
    text.remove_prefix(ScanBlock::kSize);
  }
}

}  // namespace godwit::agent
