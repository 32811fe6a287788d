#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"
#include "json/value.h"

// JSON as text, for paths too hot for a document. All functions: any thread, no shared state.
namespace godwit::json {

// One member of an object, sliced out of its text. Views into what was parsed.
struct Slice {
  std::string key;         // decoded
  std::string_view value;  // raw JSON text
};

// Validates `text` as one JSON object (as parse() does, nested values included) and returns its
// members; of equal keys only the last is returned.
Result<std::vector<Slice>> sliceObject(std::string_view text, Limits limits = {});

// Appends `valid` (already validated JSON text) without white space and as ASCII, \uXXXX upper
// case, and with only the last of equal keys at every level.
void canonicalTo(std::string& out, std::string_view valid);

// Some string or key in the valid text holds the escape \u0000.
bool textContainsNul(std::string_view valid);

// Looks a dotted path up in canonical object text without building a document. The longest key that
// is the path, or its beginning up to a dot, wins; the rest is looked up below it. nullopt when
// absent.
std::optional<std::string_view> findPath(std::string_view object_text, std::string_view path);

}  // namespace godwit::json
