#pragma once

#include <string>
#include <string_view>

namespace godwit::json {

// RFC 3986 section 5.2: `reference` taken relative to `base`. Either may be empty.
std::string resolveUri(std::string_view base, std::string_view reference);

}  // namespace godwit::json
