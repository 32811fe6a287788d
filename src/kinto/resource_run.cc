#include "kinto/resource_run.h"

#include <algorithm>

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/render.h"

namespace godwit::kinto {

using http::Method;

ResourceRun::ResourceRun(store::Session& session, Call& call)
    : s_(session),
      call_(call),
      op_(*call.operation),
      resource_(*op_.resource),
      config_(call.config()) {}

// What all requests on a list, and all changes of an object, begin with stands here: as a step of
// its own it would cost each of them one more frame.
Task<bool> ResourceRun::run() {
  Method method = call_.method;
  bool reads = method == Method::kGet || method == Method::kHead;
  if (op_.plural) {
    if (method == Method::kPost) co_return co_await post();
    if (!co_await load()) co_return false;
    if (!co_await authorizeList()) co_return false;
    if (!co_await loadAbove()) co_return false;
    if (!reportProblems()) co_return false;
    if (op_.invalid_parent) co_return noParent();
    if (!co_await listTimestamp()) co_return false;
    if (reads && notModified(op_.list_timestamp)) co_return true;
    if (!co_await checkUnmodified(true, nullptr)) co_return false;
    if (!reportLate()) co_return false;
    if (method == Method::kDelete) co_return co_await deleteList();
    bool counts = method == Method::kHead && !call_.route->head_is_get;
    if (counts) co_return co_await countList();
    co_return co_await getList();
  }
  if (reads) co_return co_await getObject();
  bool puts = method == Method::kPut;
  if (!co_await load()) co_return false;
  bool exists = op_.loaded.object.has_value();
  if (!exists && !co_await loadAbove()) co_return false;
  if (!authorizeObject()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (puts && op_.invalid_parent) co_return noParent();
  if (!puts && !exists) co_return notFound();
  const store::Object* existing = exists ? &*op_.loaded.object : nullptr;
  if (!co_await checkUnmodified(exists, existing)) co_return false;
  if (puts) co_return co_await put();
  if (method == Method::kPatch) co_return co_await patch();
  co_return co_await deleteObject();
}

bool ResourceRun::failed(const Error& error) {
  call_.app().storageFailed(call_, error);
  return false;
}

bool ResourceRun::refuse() {
  call_.app().refuse(call_);
  return false;
}

bool ResourceRun::notFound() {
  setNotFound(call_.answer, kErrnoUnknownId, op_.id, resource_.name);
  return false;
}

bool ResourceRun::reportProblems() {
  if (op_.problems.empty()) return true;
  setInvalid(call_.answer, op_.problems);
  return false;
}

bool ResourceRun::reportLate() {
  if (!op_.late) return true;
  setInvalid(call_.answer, {*op_.late});
  return false;
}

Task<bool> ResourceRun::load() {
  store::LoadSpec spec;
  spec.user = call_.user;
  spec.uris = op_.uris;
  if (!op_.id.empty()) {
    spec.ref = op_.ref;
    spec.id = op_.id;
  } else if (resource_.parent_must_exist) {
    // A list's own object does not exist; the one load brings the parent instead.
    const std::string& above = op_.uris[resource_.depth - 1];
    spec.ref = store::Ref{resource_.parent->name,
                          resource_.depth > 1 ? op_.uris[resource_.depth - 2] : std::string()};
    spec.id = above.substr(above.rfind('/') + 1);
  }
  // Whoever will look at the parent next has it from the same look.
  bool reads = call_.method == Method::kGet || call_.method == Method::kHead;
  bool with_above = !op_.id.empty() && resource_.parent_must_exist && !op_.invalid_parent &&
                    (!reads || !call_.identity);
  if (with_above) {
    const std::string& above = op_.uris[resource_.depth - 1];
    spec.above = store::Ref{resource_.parent->name,
                            resource_.depth > 1 ? op_.uris[resource_.depth - 2] : std::string()};
    spec.above_id = above.substr(above.rfind('/') + 1);
  }
  auto loaded = co_await s_.load(spec);
  if (!loaded.ok()) co_return failed(loaded.error());
  op_.loaded = std::move(*loaded);
  call_.setPrincipals(op_.loaded.groups);
  op_.owner = call_.identity ? call_.user : "system.Everyone";
  if (op_.id.empty() && resource_.parent_must_exist) {
    op_.above = std::move(op_.loaded.object);
    op_.loaded.object.reset();
  } else if (with_above) {
    op_.above = std::move(op_.loaded.above);
    looked_above_ = true;
  }
  co_return !resource_.admit || resource_.admit(call_);
}

Task<bool> ResourceRun::loadAbove() {
  if (!resource_.parent_must_exist || op_.above) co_return true;
  const std::string& uri = op_.uris[resource_.depth - 1];
  std::string id = uri.substr(uri.rfind('/') + 1);
  if (!op_.id.empty() && !op_.invalid_parent && !looked_above_) {
    store::Ref ref{resource_.parent->name,
                   resource_.depth > 1 ? op_.uris[resource_.depth - 2] : std::string()};
    auto above = co_await s_.get(ref, id);
    if (above.ok()) {
      op_.above = std::move(*above);
      co_return true;
    }
    if (above.error().code != ErrorCode::kNotFound) co_return failed(above.error());
  }
  setNotFound(call_.answer, kErrnoMissingResource, id, resource_.parent->name);
  co_return false;
}

bool ResourceRun::granted(const Grants& grants) const {
  for (const Grant& grant : grants) {
    for (const std::string& principal : *grant.settings) {
      if (call_.is(principal)) return true;
    }
  }
  for (const store::Ace& ace : op_.loaded.aces) {
    for (const Grant& grant : grants) {
      if (grant.depth < op_.uris.size() && ace.permission == grant.permission &&
          ace.uri == op_.uris[grant.depth] && call_.is(ace.principal)) {
        return true;
      }
    }
  }
  return false;
}

bool ResourceRun::authorizeObject() {
  bool exists = op_.loaded.object.has_value();
  const Grants* needed = nullptr;
  switch (call_.method) {
    case Method::kPost:
      needed = exists ? &resource_.object_read : &resource_.create;
      break;
    case Method::kPut:
      // Creating safely takes the right to create, even when the object turns out to exist.
      needed = exists && !op_.if_none_match.star() ? &resource_.object_write : &resource_.create;
      break;
    case Method::kPatch:
    case Method::kDelete:
      // Who may read the list may learn that the object is not there.
      needed = exists ? &resource_.object_write : &resource_.list_read;
      break;
    default:
      needed = &resource_.object_read;
  }
  return granted(*needed) || refuse();
}

Task<bool> ResourceRun::authorizeList() {
  bool writes = call_.method == Method::kDelete;
  if (granted(writes ? resource_.list_write : resource_.list_read)) co_return true;
  if (call_.exchange.mode == store::Mode::kPoint) {
    // What is shared may be much: not on a loop thread.
    call_.exchange.needs_scan = true;
    co_return false;
  }
  const Grants& grants = writes ? resource_.object_write : resource_.object_read;
  const char* permission = writes ? "write" : "read";
  if (!co_await findShared(grants, permission)) co_return false;
  if (!op_.shared_ids.empty() || granted(resource_.create_on_parent)) co_return true;
  co_return refuse();
}

Task<bool> ResourceRun::findShared(const Grants& grants, const char* permission) {
  op_.shared_only = true;
  std::vector<store::Session::Bound> bounds;
  for (const Grant& grant : grants) {
    if (grant.depth != resource_.depth) continue;
    store::Session::Bound bound;
    bound.uri_pattern = op_.list_uri + "/*";
    bound.permission = grant.permission;
    bounds.push_back(std::move(bound));
  }
  if (bounds.empty()) {
    store::Session::Bound bound;
    bound.uri_pattern = op_.list_uri + "/*";
    bound.permission = permission;
    bounds.push_back(std::move(bound));
  }
  auto found = co_await s_.accessible(call_.principals, bounds, false);
  if (!found.ok()) co_return failed(found.error());
  for (const store::Ace& ace : *found) {
    op_.shared_ids.push_back(ace.uri.substr(ace.uri.rfind('/') + 1));
  }
  std::sort(op_.shared_ids.begin(), op_.shared_ids.end());
  op_.shared_ids.erase(std::unique(op_.shared_ids.begin(), op_.shared_ids.end()),
                       op_.shared_ids.end());
  json::Array ids;
  for (const std::string& id : op_.shared_ids) ids.emplace_back(id);
  store::Filter filter;
  filter.field = "id";
  filter.op = store::Op::kIn;
  filter.value = json::Value(std::move(ids));
  op_.list.query.filters.insert(op_.list.query.filters.begin(), std::move(filter));
  co_return true;
}

bool ResourceRun::noParent() {
  const std::string& above = op_.uris[resource_.depth - 1];
  setNotFound(call_.answer, kErrnoMissingResource, above.substr(above.rfind('/') + 1),
              resource_.parent->name);
  return false;
}

bool ResourceRun::refuseId() {
  Problem problem("path", "", "Invalid object id");
  problem.has_name = false;
  setInvalid(call_.answer, {problem});
  return false;
}

bool ResourceRun::refuseField(std::string name, std::string description) {
  setInvalid(call_.answer, {Problem("body", std::move(name), std::move(description))});
  return false;
}

bool ResourceRun::refuseOtherId() {
  return refuseField("id", "Object id does not match existing object");
}

store::Permissions ResourceRun::storedPermissions() const {
  store::Permissions out;
  if (op_.id.empty()) return out;
  const std::string& uri = op_.objectUri();
  for (const store::Ace& ace : op_.loaded.aces) {
    if (ace.uri != uri) continue;
    auto it = std::find_if(out.begin(), out.end(),
                           [&](const auto& entry) { return entry.first == ace.permission; });
    if (it == out.end()) {
      out.emplace_back(ace.permission, std::vector<std::string>{ace.principal});
    } else {
      it->second.push_back(ace.principal);
    }
  }
  return out;
}

bool ResourceRun::mayWriteDirectly(const store::Permissions& permissions) const {
  for (const auto& [permission, principals] : permissions) {
    if (permission != "write") continue;
    for (const std::string& principal : principals) {
      if (call_.is(principal) || principal == op_.owner) return true;
    }
  }
  return false;
}

}  // namespace godwit::kinto
