#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/answer.h"
#include "kinto/query_string.h"
#include "kinto/resource.h"
#include "store/types.h"

namespace godwit::kinto {

// What the query string of a list asks for.
struct ListQuery {
  store::Query query;               // filters, sort, page rules, include_deleted; limit not set
  std::uint64_t limit = 0;          // page size, within the settings' bounds
  std::vector<std::string> fields;  // _fields with id and last_modified added; empty: all
  std::string token_nonce;          // of _token, "" without one
  std::int64_t token_offset = 0;
  bool deprecated_to = false;      // _to was used
  bool only_last_modified = true;  // no filter or sort beyond last_modified: an index serves it

  ListQuery() = default;
};

// Reads the query string of a list request. What breaks the schema goes to `problems`, reported
// before preconditions; what merely makes no sense as filter, sort or token goes to `late` (the
// first only), reported after them. `with_fields`: _fields is understood (GET).
ListQuery parseListQuery(const QueryPairs& pairs, const Resource& resource, const Config& config,
                         bool with_fields, std::int64_t now_ms, std::vector<Problem>& problems,
                         std::optional<Problem>& late);

}  // namespace godwit::kinto
