#include "kinto/render.h"

#include "kinto/text.h"

namespace godwit::kinto {

void renderObject(std::string& out, const store::Object& object) {
  std::string_view data = object.deleted ? "{\"deleted\":true}" : std::string_view(object.data);
  out.append(data.substr(0, data.size() - 1));
  if (data.size() > 2) out += ',';
  // Ids hold only characters JSON leaves as they are.
  out.append("\"id\":\"").append(object.id);
  out.append("\",\"last_modified\":").append(std::to_string(object.last_modified)).append("}");
}

void renderPermissions(std::string& out, const store::Permissions& permissions) {
  out += '{';
  bool first = true;
  for (const auto& [permission, principals] : permissions) {
    if (principals.empty()) continue;
    if (!first) out += ',';
    first = false;
    json::dumpString(out, permission);
    out += ":[";
    for (std::size_t i = 0; i < principals.size(); ++i) {
      if (i > 0) out += ',';
      json::dumpString(out, principals[i]);
    }
    out += ']';
  }
  out += '}';
}

json::Value documentOf(const store::Object& object) {
  json::Value value = json::Value::object();
  if (object.deleted) {
    value.asObject().set("deleted", true);
  } else if (auto parsed = json::parse(object.data); parsed && parsed->isObject()) {
    value = std::move(*parsed);
  }
  value.asObject().set("id", object.id);
  value.asObject().set("last_modified", json::Value(object.last_modified));
  return value;
}

void addTimestamp(Answer& answer, store::Timestamp timestamp) {
  std::string etag = "\"";
  etag.append(std::to_string(timestamp)).append("\"");
  answer.header("ETag", etag);
  answer.header("Last-Modified", httpDate(timestamp));
}

}  // namespace godwit::kinto
