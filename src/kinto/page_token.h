#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "store/types.h"

namespace godwit::kinto {

// Where a page of a list ended; what _token holds.
struct PageToken {
  json::Value last_object;  // an object
  std::int64_t offset = 0;
  std::string nonce;
};

// nullopt when it is not what makePageToken() makes.
std::optional<PageToken> readPageToken(std::string_view token);
// base64 of {"last_object":{sort fields},"offset":n,"nonce":...}.
std::string makePageToken(const std::vector<store::Sort>& sort, const json::Value& last_object,
                          std::int64_t offset, std::string_view nonce);

}  // namespace godwit::kinto
