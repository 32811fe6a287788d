#include "supervise/units.h"

#include <charconv>
#include <cmath>
#include <ctime>

namespace godwit::supervise {
namespace {

struct Unit {
  std::string_view name;
  TimeNs ns;
};
constexpr Unit kUnits[] = {
    {"ns", 1},           {"us", 1000},          {"ms", kMs},           {"s", kSecond},
    {"m", 60 * kSecond}, {"min", 60 * kSecond}, {"h", 3600 * kSecond}, {"d", 86400 * kSecond},
    {"", kSecond}};

// Digits with at most one point, so that "1e3", "inf" and "nan" stay errors.
std::optional<double> parseDecimal(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  double whole = 0;
  double scale = 0;
  bool digit = false;
  for (char c : text) {
    if (c == '.') {
      if (scale != 0) return std::nullopt;
      scale = 1;
    } else if (c >= '0' && c <= '9') {
      digit = true;
      whole = whole * 10 + (c - '0');
      scale *= 10;
    } else {
      return std::nullopt;
    }
  }
  if (!digit) return std::nullopt;
  return scale > 1 ? whole / scale : whole;
}

std::string trimmedFraction(std::int64_t whole, std::int64_t thousandths) {
  std::string out = std::to_string(whole);
  if (thousandths == 0) return out;
  std::string f = std::to_string(1000 + thousandths).substr(1);
  while (f.back() == '0') f.pop_back();
  return out + "." + f;
}

}  // namespace

TimeNs monotonicNow() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return TimeNs{t.tv_sec} * kSecond + t.tv_nsec;
}

std::optional<TimeNs> parseDuration(std::string_view text) {
  if (text == "inf" || text == "never") return kNever;
  std::size_t split = text.find_first_not_of("0123456789.");
  std::string_view suffix = split == std::string_view::npos ? "" : text.substr(split);
  auto number = parseDecimal(text.substr(0, split));
  if (!number) return std::nullopt;
  for (const Unit& u : kUnits) {
    if (u.name != suffix) continue;
    double ns = *number * static_cast<double>(u.ns);
    if (ns >= 9e18) return kNever;
    return static_cast<TimeNs>(std::llround(ns));
  }
  return std::nullopt;
}

std::string formatDuration(TimeNs span) {
  if (span == kNever) return "inf";
  if (span < kSecond) return trimmedFraction(span / kMs, span / 1000 % 1000) + "ms";
  return trimmedFraction(span / kSecond, span / kMs % 1000) + "s";
}

std::optional<std::uint64_t> parseSize(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t factor = 1;
  switch (text.back()) {
    case 'K':
    case 'k':
      factor = 1ULL << 10;
      break;
    case 'M':
    case 'm':
      factor = 1ULL << 20;
      break;
    case 'G':
    case 'g':
      factor = 1ULL << 30;
      break;
    default:
      break;
  }
  if (factor > 1) text.remove_suffix(1);
  auto n = parseInt(text, 0, std::int64_t{1} << 32);
  if (!n) return std::nullopt;
  return static_cast<std::uint64_t>(*n) * factor;
}

std::optional<std::int64_t> parseInt(std::string_view text, std::int64_t low, std::int64_t high) {
  std::int64_t v = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || r.ec != std::errc() || r.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  if (v < low || v > high) return std::nullopt;
  return v;
}

std::string formatSeconds(TimeNs span) {
  if (span < 0) span = 0;
  std::string ms = std::to_string(1000 + span / kMs % 1000);
  return std::to_string(span / kSecond) + "." + ms.substr(1);
}

}  // namespace godwit::supervise
