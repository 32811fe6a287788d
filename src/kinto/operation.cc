#include "kinto/operation.h"

#include "base/text.h"
#include "kinto/call.h"
#include "kinto/ids.h"
#include "kinto/projection.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

// The URIs along the path: every parameter ends the URI of an object.
void locate(const Call& call, Operation& op) {
  const Route& route = *call.route;
  std::string uri;
  uri.reserve(call.path.size());
  std::size_t depth = 0;
  const Resource* ancestors[8] = {};
  for (const Resource* r = op.resource; r; r = r->parent) ancestors[r->depth] = r;
  for (const std::string& segment : route.segments) {
    uri += '/';
    if (segment.front() != '{') {
      uri += segment;
      if (depth == op.resource->depth) op.list_uri = uri;
      continue;
    }
    std::string_view name = std::string_view(segment).substr(1, segment.size() - 2);
    std::string_view value = call.params.get(name);
    uri += value;
    op.uris.push_back(uri);
    bool valid = validId(ancestors[depth]->ids, value);
    if (depth == op.resource->depth) {
      op.id = value;
      op.invalid_id = !valid;
    } else if (!valid) {
      op.invalid_parent = true;
    }
    ++depth;
  }
  op.ref.resource = op.resource->name;
  if (op.resource->depth > 0) op.ref.parent = op.uris[op.resource->depth - 1];
}

BodyKind kindOf(const Call& call) {
  if (call.method != http::Method::kPatch) return BodyKind::kPlain;
  std::string_view type =
      trim(call.headers.content_type.substr(0, call.headers.content_type.find(';')));
  if (equalIgnoreCase(type, "application/json-patch+json")) return BodyKind::kJsonPatch;
  if (equalIgnoreCase(type, "application/merge-patch+json")) return BodyKind::kMergePatch;
  return BodyKind::kPatch;
}

void parseHeaders(const Call& call, Operation& op) {
  if (call.headers.has_if_match) {
    op.if_match = parsePrecondition("If-Match", call.headers.if_match, op.problems);
  }
  if (call.headers.has_if_none_match) {
    op.if_none_match = parsePrecondition("If-None-Match", call.headers.if_none_match, op.problems);
  }
  if (call.method == http::Method::kPatch && call.headers.has_response_behavior) {
    std::string_view behavior = call.headers.response_behavior;
    if (behavior == "full" || behavior == "light" || behavior == "diff") {
      op.response_behavior = behavior;
    } else if (!behavior.empty()) {
      op.problems.emplace_back("header", "Response-Behavior",
                               "\"" + std::string(behavior) + "\" is not one of full, light, diff");
    }
  }
}

void parseDeleteTimestamp(const Call& call, Operation& op) {
  for (const auto& [name, text] : call.query) {
    if (name != "last_modified" || text.empty()) continue;
    json::Value value = nativeValue(text);
    std::optional<std::int64_t> n = value.toInt();
    if (!n && value.isString()) n = toInt(value.asString());
    if (!n && !value.isNull()) {
      op.problems.emplace_back("querystring", "last_modified",
                               "\"" + pythonText(value) + "\" is not a number");
    } else if (n) {
      json::Value number(*n);
      op.delete_timestamp = timestampField(&number);
    }
  }
}

}  // namespace

void parseOperation(Call& call, std::int64_t now_ms) {
  auto owned = std::make_unique<Operation>();
  Operation& op = *owned;
  op.resource = call.route->resource;
  op.plural = call.route->kind == RouteKind::kPlural;
  locate(call, op);
  if (call.origin_refused) {
    op.problems.emplace_back("header", "Origin", std::string(call.headers.origin) + " not allowed");
  }
  bool has_body = call.method == http::Method::kPost || call.method == http::Method::kPut ||
                  call.method == http::Method::kPatch;
  std::size_t before = op.problems.size();
  if (has_body) {
    op.kind = kindOf(call);
    op.body = parseBody(call.body, op.kind, *op.resource, op.problems);
  } else if (!call.body.empty() && !checkJson(call.body, op.problems)) {
    // Nothing else is looked at when the body is no JSON.
  }
  bool broken_json = op.problems.size() > before && op.problems[before].name.empty() &&
                     op.problems[before].description.rfind("Invalid JSON", 0) == 0;
  if (!broken_json) {
    parseHeaders(call, op);
    bool reads = call.method == http::Method::kGet || call.method == http::Method::kHead;
    if (op.plural) {
      if (call.method != http::Method::kPost || !call.query.empty()) {
        op.list = parseListQuery(call.query, *op.resource, call.config(),
                                 call.method == http::Method::kGet, now_ms, op.problems, op.late);
        if (call.method == http::Method::kPost) op.late.reset();
      }
    } else if (reads) {
      if (!call.query.empty()) op.fields = parseFields(call.query, *op.resource, op.late);
    } else if (call.method == http::Method::kDelete) {
      parseDeleteTimestamp(call, op);
    }
  }
  if (op.plural && call.method == http::Method::kPost && op.body.id) {
    const json::Value& id = *op.body.id;
    op.invalid_id = !id.isString() || !validId(op.resource->ids, id.asString());
    if (!op.invalid_id) {
      op.id = id.asString();
      op.uris.push_back(op.list_uri + "/" + op.id);
    }
  }
  if (op.resource->own_lists) op.ref.parent = op.id;
  call.operation = std::move(owned);
}

}  // namespace godwit::kinto
