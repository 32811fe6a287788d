#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Validates records against the `schema` of their collection, and records, collections and groups
// against `record:schema`, `collection:schema` and `group:schema` of their bucket. Active with
// experimental_collection_schema_validation.
std::unique_ptr<Plugin> makeSchemaPlugin();

}  // namespace godwit::kinto
