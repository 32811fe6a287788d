#include "kinto/openapi.h"

#include <algorithm>

#include "base/text.h"
#include "json/value.h"
#include "kinto/endpoints.gen.h"

namespace godwit::kinto {
namespace {

using json::Array;
using json::Object;
using json::Value;

// Names that generated clients call operations by, where they do not follow from the endpoint's.
struct Named {
  std::string_view route, method, id, tag;
};
constexpr Named kNamed[] = {
    {"hello", "GET", "server_info", "Utilities"},
    {"heartbeat", "GET", "__heartbeat__", "Utilities"},
    {"lbheartbeat", "GET", "__lbheartbeat__", "Utilities"},
    {"version", "GET", "__version__", "Utilities"},
    {"openapi", "GET", "get_openapi_spec", "Utilities"},
    {"contribute.json", "GET", "contribute", "Utilities"},
    {"batch", "POST", "batch", "Batch"},
    {"history-plural", "GET", "get_history", "History"},
    {"history-plural", "DELETE", "delete_history", "History"},
    {"permissions-plural", "GET", "get_permissions", "Permissions"},
};

// Answered without asking who it is.
constexpr std::string_view kOpen[] = {"hello",   "heartbeat", "lbheartbeat",  "version",
                                      "openapi", "batch",     "openid_login", "openid_token",
                                      "flush",   "counters",  "metrics",      "contribute.json"};

Object object(std::initializer_list<std::pair<const char*, Value>> members) {
  Object out;
  for (const auto& [name, value] : members) out.set(name, value);
  return out;
}

Value schemaOf(const std::string& name) { return object({{"$ref", "#/definitions/" + name}}); }
Value typed(const char* type) { return object({{"type", type}}); }
Value listOf(Value items) { return object({{"type", "array"}, {"items", std::move(items)}}); }

// "bucket-plural" -> "Bucket"
std::string capitalized(std::string_view text) {
  std::string out = lower(text);
  if (!out.empty()) out[0] = upper(out[0]);
  return out;
}

std::string_view bareName(std::string_view route) {
  for (std::string_view end : {"-plural", "-object"}) {
    if (route.ends_with(end)) return route.substr(0, route.size() - end.size());
  }
  return route;
}

const Named* namedFor(const Route& route, std::string_view method) {
  auto it = std::find_if(std::begin(kNamed), std::end(kNamed), [&](const Named& n) {
    return n.route == route.name && n.method == method;
  });
  return it == std::end(kNamed) ? nullptr : it;
}

std::string operationId(const Route& route, const std::string& method) {
  if (const Named* n = namedFor(route, method)) return std::string(n->id);
  std::string verb = method == "POST" ? "create" : method == "PUT" ? "update" : lower(method);
  bool many = route.kind == RouteKind::kPlural && method != "POST";
  return verb + "_" + std::string(bareName(route.name)) + (many ? "s" : "");
}

std::string tagOf(const Route& route, const std::string& method) {
  if (const Named* n = namedFor(route, method)) return std::string(n->tag);
  return capitalized(bareName(route.name)) + (route.kind == RouteKind::kService ? "" : "s");
}

Value fieldSchema(FieldRule::Kind kind) {
  switch (kind) {
    case FieldRule::Kind::kInteger:
      return typed("integer");
    case FieldRule::Kind::kString:
      return typed("string");
    case FieldRule::Kind::kStrings:
      return listOf(typed("string"));
    case FieldRule::Kind::kMapping:
      break;
  }
  return typed("object");
}

// {"Bucket": what an object looks like, "BucketBody": what is sent and answered, "BucketList"}
void defineResource(const Resource& resource, Object& definitions) {
  std::string name = capitalized(resource.name);
  Object fields;
  fields.set("id", typed("string"));
  fields.set("last_modified", typed("integer"));
  for (const FieldRule& rule : resource.fields) fields.set(rule.name, fieldSchema(rule.kind));
  Object permissions;
  for (const std::string& p : resource.permissions) permissions.set(p, listOf(typed("string")));
  definitions.set(name, object({{"type", "object"}, {"properties", std::move(fields)}}));
  Object parts = object({{"data", schemaOf(name)}});
  if (!resource.permissions.empty()) {
    parts.set("permissions", object({{"type", "object"}, {"properties", std::move(permissions)}}));
  }
  definitions.set(name + "Body", object({{"type", "object"}, {"properties", std::move(parts)}}));
  Object list = object({{"data", listOf(schemaOf(name))}});
  definitions.set(name + "List", object({{"type", "object"}, {"properties", std::move(list)}}));
}

Object makeDefinitions(const std::vector<std::unique_ptr<Route>>& routes) {
  Object all;
  Object error;
  for (const char* name : {"code", "errno"}) error.set(name, typed("integer"));
  for (const char* name : {"error", "message", "info"}) error.set(name, typed("string"));
  error.set("details", Object());
  Array required{"code", "errno", "error"};
  all.set("Error", object({{"type", "object"},
                           {"required", std::move(required)},
                           {"properties", std::move(error)}}));
  Object request = object({{"method", typed("string")},
                           {"path", typed("string")},
                           {"headers", typed("object")},
                           {"body", typed("object")}});
  all.set("BatchRequest", object({{"type", "object"}, {"properties", std::move(request)}}));
  Object batch = object(
      {{"defaults", schemaOf("BatchRequest")}, {"requests", listOf(schemaOf("BatchRequest"))}});
  Array needed{"requests"};
  all.set("Batch", object({{"type", "object"},
                           {"required", std::move(needed)},
                           {"properties", std::move(batch)}}));
  Object answer = object({{"status", typed("integer")},
                          {"path", typed("string")},
                          {"headers", typed("object")},
                          {"body", Object()}});
  Object answers = object(
      {{"responses", listOf(object({{"type", "object"}, {"properties", std::move(answer)}}))}});
  all.set("BatchAnswer", object({{"type", "object"}, {"properties", std::move(answers)}}));
  for (const auto& route : routes) {
    if (route->resource && !all.find(capitalized(route->resource->name)))
      defineResource(*route->resource, all);
  }
  return all;
}

Value parameter(const char* in, const char* name, const char* type, bool required = false) {
  return object({{"in", in}, {"name", name}, {"type", type}, {"required", required}});
}

Value listParameter(const char* name) {
  return object({{"in", "query"},
                 {"name", name},
                 {"type", "array"},
                 {"items", typed("string")},
                 {"collectionFormat", "csv"},
                 {"required", false}});
}

Array parametersOf(const Route& route, const std::string& method) {
  Array out;
  auto query = [&out](const char* name, const char* type, bool required = false) {
    out.push_back(parameter("query", name, type, required));
  };
  bool write = method == "POST" || method == "PUT" || method == "PATCH";
  if (route.resource) {
    for (const char* name : {"If-Match", "If-None-Match"})
      out.push_back(parameter("header", name, "string"));
    if (method == "PATCH") {
      Value behavior = parameter("header", "Response-Behavior", "string");
      behavior.asObject().set("enum", Array{"full", "light", "diff"});
      out.push_back(std::move(behavior));
    }
    if (route.kind == RouteKind::kPlural && !write) {
      query("_limit", "integer");
      query("_token", "string");
      for (const char* name : {"_since", "_to", "_before", "last_modified"}) query(name, "integer");
      query("id", "string");
      out.push_back(listParameter("_sort"));
    }
    if (method == "GET") out.push_back(listParameter("_fields"));
  }
  if (route.name == "openid_login") {
    query("callback", "string", true);
    query("scope", "string");
    query("prompt", "string");
  } else if (route.name == "fxa-oauth-login") {
    query("redirect", "string", true);
  } else if (route.name == "openid_token" || route.name == "fxa-oauth-token") {
    query("code", "string", true);
    query("state", "string", true);
  }
  if (write && (route.resource || route.name == "batch")) {
    std::string body = route.resource ? capitalized(route.resource->name) + "Body" : "Batch";
    out.push_back(object({{"in", "body"},
                          {"name", "body"},
                          {"required", route.name == "batch"},
                          {"schema", schemaOf(body)}}));
  }
  return out;
}

// Adds a response; an empty `schema` is one without a body.
void respond(Object& responses, const char* status, const char* why, const std::string& schema) {
  Object one = object({{"description", why}});
  if (!schema.empty()) one.set("schema", schemaOf(schema));
  responses.set(status, std::move(one));
}

void resourceResponses(const Route& route, const std::string& method, Object& out) {
  std::string name = capitalized(route.resource->name);
  bool write = method == "POST" || method == "PUT" || method == "PATCH";
  bool plural = route.kind == RouteKind::kPlural && method != "POST";
  if (plural) {
    respond(out, "200", "The objects that match.", name + "List");
  } else {
    respond(out, "200", "The object as it is now.", name + "Body");
  }
  if (method == "POST" || method == "PUT")
    respond(out, "201", "The object that was created.", name + "Body");
  if (method == "GET") respond(out, "304", "Nothing has changed since If-None-Match.", "");
  respond(out, "400", "The request is invalid.", "Error");
  respond(out, "401", "The user is not known.", "Error");
  respond(out, "403", "The user may not do this.", "Error");
  if (!plural || route.resource->parent)
    respond(out, "404", "There is no such object, or none to hold it.", "Error");
  respond(out, "406", "Only application/json is to be had.", "Error");
  respond(out, "412", "The object is not as If-Match or If-None-Match demands.", "Error");
  if (write) respond(out, "415", "The type of the body is not supported.", "Error");
  if (method == "GET") {
    Object headers = object({{"ETag", typed("string")}, {"Last-Modified", typed("string")}});
    out.find("200")->asObject().set("headers", std::move(headers));
  }
}

Object responsesOf(const Route& route, const std::string& method) {
  Object out;
  if (route.resource) {
    resourceResponses(route, method, out);
  } else if (route.name == "batch") {
    respond(out, "200", "The answers, in the order of the requests.", "BatchAnswer");
    respond(out, "400", "The request is invalid.", "Error");
  } else if (route.name.starts_with("openid_")) {
    respond(out, "307", "The way the browser has to go.", "");
    respond(out, "400", "The request is invalid.", "Error");
  } else if (route.name == "fxa-oauth-login" || route.name == "fxa-oauth-token") {
    respond(out, "302", "The way the browser has to go.", "");
    respond(out, "400", "The request is invalid.", "Error");
  } else if (route.name == "admin_redirect") {
    respond(out, "307", "The way to the admin application.", "");
  } else {
    const char* status = route.name == "flush" ? "202" : "200";
    Object one = object({{"description", "What was asked for."}});
    if (route.name != "metrics") one.set("schema", typed("object"));
    out.set(status, std::move(one));
    if (route.name == "heartbeat") {
      Object failing = object({{"description", "A backend does not answer."}});
      failing.set("schema", typed("object"));
      out.set("503", std::move(failing));
    }
  }
  respond(out, "default", "Anything else that went wrong.", "Error");
  return out;
}

Object makeOperation(const Route& route, const std::string& method, const Array& security) {
  Object op;
  if (const EndpointDef* endpoint = findEndpoint(route.name))
    op.set("summary", Value(endpoint->summary));
  op.set("operationId", operationId(route, method));
  op.set("tags", Array{tagOf(route, method)});
  bool write = method == "POST" || method == "PUT" || method == "PATCH";
  if (write && (route.resource || route.name == "batch")) {
    Array consumes{"application/json"};
    if (method == "PATCH") consumes.emplace_back("application/merge-patch+json");
    op.set("consumes", std::move(consumes));
  }
  op.set("produces", Array{route.name == "metrics" ? "text/plain" : "application/json"});
  if (Array parameters = parametersOf(route, method); !parameters.empty())
    op.set("parameters", std::move(parameters));
  op.set("responses", responsesOf(route, method));
  bool open = std::find(std::begin(kOpen), std::end(kOpen), route.name) != std::end(kOpen) ||
              route.name.starts_with("fxa-oauth-") || route.name == "admin_redirect";
  op.set("security", open ? Array() : security);
  return op;
}

Object makePaths(const Config& config, const std::vector<std::unique_ptr<Route>>& routes,
                 const Array& security, Array& tags) {
  Object paths;
  for (const auto& route : routes) {
    if (route->pattern.find("*}") != std::string::npos) continue;
    Object path;
    Array parameters;
    for (const std::string& segment : route->segments) {
      if (!segment.starts_with('{')) continue;
      std::string name = segment.substr(1, segment.size() - 2);
      parameters.push_back(parameter("path", name.c_str(), "string", true));
    }
    if (!parameters.empty()) path.set("parameters", std::move(parameters));
    for (const std::string& method : route->methods) {
      // Understood of every GET and of every path.
      if (method == "HEAD" || method == "OPTIONS") continue;
      if (config.readonly && method != "GET") continue;
      path.set(lower(method), makeOperation(*route, method, security));
      Value tag = object({{"name", tagOf(*route, method)}});
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(std::move(tag));
    }
    paths.set(route->pattern, std::move(path));
  }
  return paths;
}

}  // namespace

OpenApiDocument makeOpenApi(const Config& config, const std::vector<std::unique_ptr<Route>>& routes,
                            const std::vector<std::pair<std::string, std::string>>& security) {
  Object definitions;
  Array required;
  for (const auto& [name, text] : security) {
    Result<Value> definition = json::parse(text);
    if (!definition.ok()) continue;
    Array scopes;
    if (const Value* named = definition->get("scopes")) {
      for (const auto& [scope, about] : named->asObject()) scopes.emplace_back(scope);
    }
    Object one;
    one.set(name, std::move(scopes));
    required.emplace_back(std::move(one));
    definitions.set(name, std::move(*definition));
  }
  Object rest;
  rest.set("basePath", "/" + config.routePrefix());
  rest.set("schemes", Array{config.http_scheme.empty() ? "http" : config.http_scheme});
  Array tags;
  Object paths = makePaths(config, routes, required, tags);
  rest.set("tags", std::move(tags));
  rest.set("paths", std::move(paths));
  rest.set("definitions", makeDefinitions(routes));
  rest.set("securityDefinitions", std::move(definitions));
  Object info = object({{"title", config.project_name}, {"version", config.http_api_version}});

  OpenApiDocument out;
  out.head = "{\"swagger\":\"2.0\",\"info\":" + json::dump(Value(std::move(info))) + ",\"host\":";
  std::string tail = json::dump(Value(std::move(rest)));
  tail[0] = ',';
  out.tail = std::move(tail);
  return out;
}

}  // namespace godwit::kinto
