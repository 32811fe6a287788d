#pragma once

#include <cstdint>
#include <optional>

#include "json/value.h"

// Values of a query string, as the predecessor's schemas read them.
namespace godwit::kinto {

// A zero byte in a string or a key, at any depth: no database takes it.
bool hasNul(const json::Value& value);

// What counts as not given: null, "", [] and {}.
bool isEmptyValue(const json::Value& value);

// As Python's int(): numbers lose their fraction, true is 1, digits may have a sign and white space
// around them; nullopt for anything else. Of any size.
std::optional<json::Value> wholeNumber(const json::Value& value);

// A whole number, or one between quotes, from 0 to a day from now.
std::optional<json::Value> timestampOf(const json::Value& value, std::int64_t now_ms);

}  // namespace godwit::kinto
