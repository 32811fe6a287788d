#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "kinto/answer.h"
#include "kinto/resource.h"
#include "store/types.h"

namespace godwit::kinto {

// Which of the three patch formats, or a plain body.
enum class BodyKind : std::uint8_t { kPlain, kPatch, kMergePatch, kJsonPatch };

// The parsed body of a POST, PUT or PATCH on a resource.
struct Body {
  bool has_data = false;
  // Plain: canonical text of data without id and last_modified, defaults of the fields filled in.
  std::string data = "{}";
  // Patches: data as a document.
  json::Value patch_data;
  json::Value operations;  // JSON patch
  // The id and last_modified inside data, when present.
  std::optional<json::Value> id;
  store::Timestamp last_modified = 0;  // 0: none that counts

  bool has_permissions = false;
  store::Permissions permissions;                // those with a list
  std::vector<std::string> removed_permissions;  // those with null

  [[nodiscard]] bool empty() const { return !has_data && !has_permissions; }
};

// Reads and checks `text`. What is wrong goes to `problems`.
Body parseBody(std::string_view text, BodyKind kind, const Resource& resource,
               std::vector<Problem>& problems);

// Checks the fields of a whole object and fills in defaults. Problem names start with `prefix`.
void checkFields(json::Value& data, const Resource& resource, const std::string& prefix,
                 std::vector<Problem>& problems);

// last_modified of a client as it counts: a whole number within the range timestamps have, else 0.
store::Timestamp timestampField(const json::Value* value);

// True unless the (non-empty) text is no JSON object or array; then one problem was added.
bool checkJson(std::string_view text, std::vector<Problem>& problems);

}  // namespace godwit::kinto
