#include "supervise/units.h"

#include <charconv>
#include <ctime>

namespace godwit::supervise {
namespace {

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
  auto ns = parseNanoseconds(text);
  return ns ? std::optional<TimeNs>(ns->count()) : std::nullopt;
}

std::string formatDuration(TimeNs span) {
  if (span == kNever) return "inf";
  if (span < kSecond) return trimmedFraction(span / kMs, span / 1000 % 1000) + "ms";
  return trimmedFraction(span / kSecond, span / kMs % 1000) + "s";
}

std::optional<bool> parseSwitch(std::string_view text) {
  if (text.empty()) return true;
  return parseBool(text);
}

std::optional<int> parseMode(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  int mode = 0;
  for (char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    mode = mode * 8 + (c - '0');
  }
  return mode <= 0777 ? std::optional(mode) : std::nullopt;
}

std::string formatMode(int mode) {
  std::string out = "0";
  for (int shift : {6, 3, 0}) out += static_cast<char>('0' + (mode >> shift & 7));
  return out;
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
