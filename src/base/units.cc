#include "base/units.h"

#include <array>
#include <cmath>
#include <initializer_list>

#include "base/text.h"

namespace godwit {
namespace {

// The number `text` begins with, which is removed with the blanks after it. No exponent, so that a
// typing error does not become an age. Not from_chars, whose tables for doubles are larger than
// all the rest that a small static program needs of the library.
std::optional<double> takeDecimal(std::string_view& text) {
  text = trim(text);
  double value = 0;
  double scale = 0;
  std::size_t i = 0;
  bool digit = false;
  for (; i < text.size() && i < 40; ++i) {
    char c = text[i];
    if (c == '.') {
      if (scale != 0) return std::nullopt;
      scale = 1;
    } else if (c >= '0' && c <= '9') {
      digit = true;
      value = value * 10 + (c - '0');
      scale *= 10;
    } else {
      break;
    }
  }
  if (!digit) return std::nullopt;
  text = trim(text.substr(i));
  return scale > 1 ? value / scale : value;
}

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 8> kTimes = {{{"ns", 1},
                                         {"us", 1e3},
                                         {"ms", 1e6},
                                         {"s", 1e9},
                                         {"m", 60e9},
                                         {"min", 60e9},
                                         {"h", 3'600e9},
                                         {"d", 86'400e9}}};
constexpr std::array<Unit, 11> kSizes = {{{"", 1},
                                          {"b", 1},
                                          {"k", 1024},
                                          {"kb", 1000},
                                          {"kib", 1024},
                                          {"m", 1048576},
                                          {"mb", 1e6},
                                          {"mib", 1048576},
                                          {"g", 1073741824},
                                          {"gb", 1e9},
                                          {"gib", 1073741824}}};
constexpr double kMostNs = 9.2e18;
constexpr double kMostBytes = 9'007'199'254'740'992;  // integers beyond are not all doubles

bool sameWord(std::string_view name, std::string_view text) {
  if (name.size() != text.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != name[i]) return false;
  }
  return true;
}

template <std::size_t N>
std::optional<double> scaled(const std::array<Unit, N>& units, double n, std::string_view unit,
                             double most) {
  for (const Unit& u : units) {
    if (!sameWord(u.name, unit)) continue;
    double v = n * u.factor;
    return v <= most ? std::optional(v) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<bool> parseBool(std::string_view text) {
  text = trim(text);
  for (std::string_view yes : {"true", "t", "yes", "y", "on", "1"}) {
    if (sameWord(yes, text)) return true;
  }
  for (std::string_view no : {"false", "f", "no", "n", "off", "0", "none", "null"}) {
    if (sameWord(no, text)) return false;
  }
  return std::nullopt;
}

std::optional<std::chrono::nanoseconds> parseNanoseconds(std::string_view text,
                                                         std::string_view unit) {
  auto n = takeDecimal(text);
  if (!n) return std::nullopt;
  auto ns = scaled(kTimes, *n, !text.empty() ? text : unit.empty() ? "s" : unit, kMostNs);
  if (!ns) return std::nullopt;
  return std::chrono::nanoseconds(std::llround(*ns));
}

std::optional<std::chrono::milliseconds> parseDuration(std::string_view text,
                                                       std::string_view unit) {
  auto ns = parseNanoseconds(text, unit);
  if (!ns) return std::nullopt;
  return std::chrono::round<std::chrono::milliseconds>(*ns);
}

std::optional<std::uint64_t> parseSize(std::string_view text) {
  auto n = takeDecimal(text);
  if (!n) return std::nullopt;
  auto bytes = scaled(kSizes, *n, text, kMostBytes);
  if (!bytes) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

}  // namespace godwit
