#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"

namespace godwit::supervise {

// Nanoseconds, as a span or on CLOCK_MONOTONIC. An integer, because it is stored across a re-exec.
using TimeNs = std::int64_t;
inline constexpr TimeNs kMs = 1'000'000;
inline constexpr TimeNs kSecond = 1'000'000'000;
inline constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();

TimeNs monotonicNow();
// Saturates at kNever, so that "for ever" plus anything stays so.
[[nodiscard]] constexpr TimeNs timeAfter(TimeNs now, TimeNs span) {
  return span >= kNever - now ? kNever : now + span;
}

// What base/units.h reads, and "inf"; bare numbers are seconds. Never negative.
std::optional<TimeNs> parseDuration(std::string_view text);
// "1.5s", "200ms", "inf": what parseDuration reads back.
std::string formatDuration(TimeNs span);
using godwit::parseSize;
// "yes", "no" and their like; "", as of a flag without a value, means yes.
std::optional<bool> parseSwitch(std::string_view text);
// "0640": at most four octal digits, at most 0777.
std::optional<int> parseMode(std::string_view text);
std::string formatMode(int mode);
// Decimal digits only, within [low, high].
std::optional<std::int64_t> parseInt(std::string_view text, std::int64_t low, std::int64_t high);
// "0.412" for 412 ms: seconds with three decimals.
std::string formatSeconds(TimeNs span);

}  // namespace godwit::supervise
