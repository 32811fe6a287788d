#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "json/value.h"

// Small text helpers. All functions: any thread, no state.
namespace godwit::kinto {

// Whole text as a decimal integer, with optional sign; nullopt on anything else or overflow.
std::optional<std::int64_t> toInt(std::string_view s);

// "Fri, 31 Dec 1999 23:59:59 GMT" (RFC 9110 section 5.6.7) of Unix milliseconds.
std::string httpDate(std::int64_t unix_ms);
// "2026-01-31T10:00:00.123456+00:00"
std::string isoDate(std::int64_t unix_ns);

// Shell-style match with '*', '?' and '[...]', case sensitive; linear back-tracking, bounded by
// the product of the lengths.
bool wildcardMatch(std::string_view pattern, std::string_view text);

// Text as application/x-www-form-urlencoded, space as '+'.
std::string formEncode(std::string_view text);

// How the predecessor prints a value inside its messages: str() at the top, repr() below.
std::string pythonText(const json::Value& value);
std::string pythonRepr(const json::Value& value);

// Calls `f(key_text, value_text)` for each member of a canonical JSON object (no white space,
// valid, no equal keys). `key_text` is raw, with quotes.
template <class F>
void forEachMember(std::string_view object, F f);

// End of the JSON value that starts at `pos` in canonical text.
std::size_t skipValue(std::string_view text, std::size_t pos);

template <class F>
void forEachMember(std::string_view object, F f) {
  std::size_t pos = 1;
  while (pos < object.size() && object[pos] != '}') {
    std::size_t key_end = skipValue(object, pos);
    std::size_t value_end = skipValue(object, key_end + 1);
    f(object.substr(pos, key_end - pos), object.substr(key_end + 1, value_end - key_end - 1));
    pos = value_end;
    if (pos < object.size() && object[pos] == ',') ++pos;
  }
}

}  // namespace godwit::kinto
