#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/answer.h"
#include "kinto/query_string.h"
#include "kinto/resource.h"

namespace godwit::kinto {

// The value of _fields: names between commas, empty ones left out.
std::vector<std::string> commaList(std::string_view text);

// `fields` with id and last_modified added, none when none were asked for. Names that a strict
// resource does not know become `late`, unless something is there already.
std::vector<std::string> checkedFields(std::vector<std::string> fields, const Resource& resource,
                                       std::optional<Problem>& late);

// The _fields of an object GET, with id and last_modified added; `late` likewise.
std::vector<std::string> parseFields(const QueryPairs& pairs, const Resource& resource,
                                     std::optional<Problem>& late);

// Only the (dotted) fields named.
json::Value project(const json::Value& object, const std::vector<std::string>& fields);

// A value by dotted path; a literal key with dots wins. nullptr when absent.
const json::Value* findNested(const json::Value& object, std::string_view path);

}  // namespace godwit::kinto
