#include "json/number.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <system_error>

namespace godwit::json::detail {
namespace {

constexpr std::int64_t kExponentCap = 100'000'000'000'000'000;  // room to add lengths

// The number is +-0.D * 10^scale, where D is `whole` followed by `fraction`, without zeros at
// either end. Zero has no digits.
struct Decimal {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
  std::int64_t scale = 0;

  [[nodiscard]] std::size_t size() const { return whole.size() + fraction.size(); }
  [[nodiscard]] bool isZero() const { return size() == 0; }
  [[nodiscard]] char digit(std::size_t i) const {
    return i < whole.size() ? whole[i] : fraction[i - whole.size()];
  }
};

std::size_t leadingZeros(std::string_view s) {
  return std::min(s.find_first_not_of('0'), s.size());
}

void dropTrailingZeros(std::string_view& s) {
  std::size_t last = s.find_last_not_of('0');
  s = s.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::int64_t readExponent(std::string_view s) {
  bool negative = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  std::int64_t v = 0;
  for (char c : s) v = std::min(kExponentCap, v * 10 + (c - '0'));
  return negative ? -v : v;
}

Decimal decompose(std::string_view text) {
  Decimal d;
  if (!text.empty() && text[0] == '-') {
    d.negative = true;
    text.remove_prefix(1);
  }
  std::int64_t exponent = 0;
  if (std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    exponent = readExponent(text.substr(e + 1));
    text = text.substr(0, e);
  }
  std::size_t dot = text.find('.');
  d.whole = text.substr(0, dot);
  if (dot != std::string_view::npos) d.fraction = text.substr(dot + 1);
  d.whole.remove_prefix(leadingZeros(d.whole));
  if (d.whole.empty()) {
    std::size_t zeros = leadingZeros(d.fraction);
    d.fraction.remove_prefix(zeros);
    d.scale = exponent - static_cast<std::int64_t>(zeros);
  } else {
    d.scale = exponent + static_cast<std::int64_t>(d.whole.size());
  }
  dropTrailingZeros(d.fraction);
  if (d.fraction.empty()) dropTrailingZeros(d.whole);
  if (d.isZero()) d.negative = false;
  return d;
}

int compareDigits(const Decimal& a, const Decimal& b) {
  std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (a.digit(i) != b.digit(i)) return a.digit(i) < b.digit(i) ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

bool shortInteger(std::string_view s, std::int64_t& out) {
  if (s.size() > 18) return false;
  auto r = std::from_chars(s.data(), s.data() + s.size(), out);
  return r.ec == std::errc() && r.ptr == s.data() + s.size();
}

}  // namespace

int compareNumbers(std::string_view a, std::string_view b) {
  std::int64_t i = 0;
  std::int64_t j = 0;
  if (shortInteger(a, i) && shortInteger(b, j)) return i == j ? 0 : i < j ? -1 : 1;
  if (a == b) return 0;
  Decimal x = decompose(a);
  Decimal y = decompose(b);
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  int r = 0;
  if (x.isZero() || y.isZero()) {
    r = x.isZero() == y.isZero() ? 0 : x.isZero() ? -1 : 1;
  } else if (x.scale != y.scale) {
    r = x.scale < y.scale ? -1 : 1;
  } else {
    r = compareDigits(x, y);
  }
  return x.negative ? -r : r;
}

bool exceedsDouble(std::string_view number) {
  // The largest double is 0.17976931348623157 * 10^309.
  constexpr std::int64_t kLargest = std::numeric_limits<double>::max_exponent10 + 1;
  Decimal d = decompose(number);
  if (d.isZero() || d.scale < kLargest) return false;
  if (d.scale > kLargest) return true;
  double value = 0;
  return std::from_chars(number.data(), number.data() + number.size(), value).ec ==
         std::errc::result_out_of_range;
}

}  // namespace godwit::json::detail
