#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

// Values as people write them, blanks around them allowed, in upper or lower case. nullopt when the
// text is none. Numbers are decimal digits with at most one point, never negative. Any thread.
namespace godwit {

std::optional<bool> parseBool(std::string_view text);  // true/yes/on/1/t/y and their opposites
// "30", "1.5 s", "250ms", "5m", "2h", "1d"; also ns, us, min. `unit` is that of a bare number; ""
// means seconds. At most 291 years.
std::optional<std::chrono::nanoseconds> parseNanoseconds(std::string_view text,
                                                         std::string_view unit = "s");
// The same, rounded.
std::optional<std::chrono::milliseconds> parseDuration(std::string_view text,
                                                       std::string_view unit = "s");
// Bytes: "512", "64KiB" = "64k", "1.5 GiB" are powers of 1024, "10MB" of 1000. At most 2^53.
std::optional<std::uint64_t> parseSize(std::string_view text);

}  // namespace godwit
