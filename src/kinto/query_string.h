#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/value.h"

namespace godwit::kinto {

// Decoded name=value pairs in the order sent.
using QueryPairs = std::vector<std::pair<std::string, std::string>>;

// application/x-www-form-urlencoded, pairs separated by '&' or ';'. nullopt when a name or value is
// not UTF-8 once decoded. A broken escape stays as it is.
std::optional<QueryPairs> parseQuery(std::string_view query);

// A filter value: JSON when it parses as JSON, else the text itself.
json::Value nativeValue(std::string_view text);

// Percent-decoding that keeps broken escapes.
std::string lenientDecode(std::string_view text, bool plus_is_space);

}  // namespace godwit::kinto
