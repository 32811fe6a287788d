#pragma once

#include <string>
#include <string_view>

#include "json/value.h"
#include "kinto/answer.h"
#include "store/types.h"

namespace godwit::kinto {

// Object text with id and last_modified spliced in; the stored text is not parsed.
void renderObject(std::string& out, const store::Object& object);
void renderPermissions(std::string& out, const store::Permissions& permissions);

// The object as a document, with id and last_modified.
json::Value documentOf(const store::Object& object);

// ETag and Last-Modified.
void addTimestamp(Answer& answer, store::Timestamp timestamp);

}  // namespace godwit::kinto
