#include "base/random.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/page_token.h"
#include "kinto/projection.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"
#include "kinto/text.h"
#include "store/query.h"

namespace godwit::kinto {

void ResourceRun::answerObject(const store::Object& object, const store::Permissions& permissions) {
  std::string& out = call_.answer.body;
  if (!op_.fields.empty()) {
    out.assign("{\"data\":");
    json::dumpTo(out, project(documentOf(object), op_.fields));
    out += '}';
    return;
  }
  out.assign("{\"permissions\":");
  if (mayWriteDirectly(permissions)) {
    renderPermissions(out, permissions);
  } else {
    out += "{}";
  }
  out += ",\"data\":";
  renderObject(out, object);
  out += '}';
}

Task<bool> ResourceRun::getObject() {
  if (!co_await load()) co_return false;
  if (!authorizeObject()) co_return false;
  bool missing = !op_.loaded.object.has_value();
  // A record cannot outlive its collection: only a missing one leaves that question open.
  if (missing && !co_await loadAbove()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (missing) co_return notFound();
  const store::Object& object = *op_.loaded.object;
  if (notModified(object.last_modified)) co_return true;
  if (!co_await checkUnmodified(true, &object)) co_return false;
  if (!reportLate()) co_return false;
  addTimestamp(call_.answer, object.last_modified);
  if (!co_await addCacheHeaders()) co_return false;
  answerObject(object, storedPermissions());
  co_return true;
}

// What the list holds: from storage, or made now and put through the same query.
Task<Result<std::vector<store::Object>>> ResourceRun::find(const store::Query& query) {
  if (!resource_.compute) co_return co_await s_.list(op_.ref, query);
  auto all = co_await resource_.compute(s_, call_);
  if (!all.ok()) co_return std::move(all.error());
  auto plan = store::Plan::make(query);
  if (!plan.ok()) co_return std::move(plan.error());
  store::Selection selection(*plan);
  for (const store::Object& object : *all) {
    store::ObjectView view{object.id, object.last_modified, false, object.data};
    if (plan->matches(view)) selection.offer(view, 0);
  }
  std::vector<store::Object> out;
  for (store::Selection::Item& item : selection.take()) out.push_back(std::move(item.object));
  co_return out;
}

json::Value ResourceRun::shownAs(const store::Object& object) const {
  if (!resource_.compute) return documentOf(object);
  auto parsed = json::parse(object.data);
  return parsed.ok() ? std::move(*parsed) : json::Value::object();
}

Task<bool> ResourceRun::countList() {
  std::uint64_t matching = 0;
  if (resource_.compute) {
    auto found = co_await find(op_.list.query);
    if (!found.ok()) co_return failed(found.error());
    matching = found->size();
  } else {
    auto count = co_await s_.count(op_.ref, op_.list.query);
    if (!count.ok()) co_return failed(count.error());
    matching = *count;
  }
  addTimestamp(call_.answer, op_.list_timestamp);
  if (!co_await addCacheHeaders()) co_return false;
  auto total = static_cast<std::int64_t>(matching);
  call_.answer.header("Total-Objects", total);
  call_.answer.header("Total-Records", total);
  call_.answer.body = "{\"data\":[]}";
  co_return true;
}

void ResourceRun::nextPage(const store::Object& last, std::int64_t offset, std::string nonce) {
  json::Value shown = shownAs(last);
  // What is computed may sort by an id that it does not show.
  if (resource_.compute) shown.asObject().set("id", json::Value(last.id));
  std::string token = makePageToken(op_.list.query.sort, shown, offset, nonce);
  std::string limit = std::to_string(op_.list.limit);
  std::string url = call_.baseUrl() + "/" + config_.routePrefix() + op_.list_uri + "?";
  bool first = true;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!first) url += '&';
    first = false;
    url.append(formEncode(name)).append("=").append(formEncode(value));
  };
  bool limited = false, continued = false;
  for (const auto& [name, value] : call_.query) {
    bool is_limit = name == "_limit", is_token = name == "_token";
    if ((is_limit && limited) || (is_token && continued)) continue;
    limited = limited || is_limit;
    continued = continued || is_token;
    add(name, is_limit ? limit : is_token ? token : value);
  }
  if (!limited) add("_limit", limit);
  if (!continued) add("_token", token);
  call_.answer.header("Next-Page", url);
}

Task<bool> ResourceRun::getList() {
  // One more than the page tells whether there is another.
  std::uint64_t limit = op_.list.limit;
  op_.list.query.limit = limit + 1;
  auto found = co_await find(op_.list.query);
  if (!found.ok()) co_return failed(found.error());
  const std::vector<store::Object>& objects = *found;
  addTimestamp(call_.answer, op_.list_timestamp);
  if (!co_await addCacheHeaders()) co_return false;
  std::size_t shown = std::min<std::size_t>(objects.size(), limit);
  if (objects.size() > limit && shown > 0) {
    nextPage(objects[shown - 1], op_.list.token_offset + static_cast<std::int64_t>(objects.size()),
             "pagination-token-" + uuid4());
  }
  std::size_t size = 16;
  for (std::size_t i = 0; i < shown; ++i) size += objects[i].data.size() + 96;
  std::string& out = call_.answer.body;
  out.reserve(size);
  out.assign("{\"data\":[");
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) out += ',';
    if (!op_.list.fields.empty()) {
      json::dumpTo(out, project(shownAs(objects[i]), op_.list.fields));
    } else if (resource_.compute) {
      out += objects[i].data;
    } else {
      renderObject(out, objects[i]);
    }
  }
  out += "]}";
  co_return true;
}

}  // namespace godwit::kinto
