#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kinto/config.h"
#include "kinto/route.h"

namespace godwit::kinto {

// The API as an OpenAPI 2.0 document, in two pieces: the host, as a JSON string, goes between.
struct OpenApiDocument {
  std::string head, tail;
};

// Describes `routes`: what defs/endpoints.toml says of each, and what follows from its resource.
// `security` are the definitions of how a client authenticates, name and JSON object. Endpoints
// below which any path goes are left out, because OpenAPI 2.0 has no parameter for it.
OpenApiDocument makeOpenApi(const Config& config, const std::vector<std::unique_ptr<Route>>& routes,
                            const std::vector<std::pair<std::string, std::string>>& security);

}  // namespace godwit::kinto
