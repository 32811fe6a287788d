#include <algorithm>
#include <unordered_map>

#include "base/random.h"
#include "json/patch.h"
#include "json/text.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/ids.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {
namespace {

using json::Value;

constexpr std::string_view kIdMismatch = "Object id does not match existing object";

std::vector<std::string>* principalsOf(store::Permissions& permissions, std::string_view name) {
  for (auto& [permission, principals] : permissions) {
    if (permission == name) return &principals;
  }
  return nullptr;
}

void addPrincipal(store::Permissions& permissions, const std::string& permission,
                  const std::string& principal) {
  auto* principals = principalsOf(permissions, permission);
  if (!principals) {
    permissions.emplace_back(permission, std::vector<std::string>{principal});
  } else if (std::find(principals->begin(), principals->end(), principal) == principals->end()) {
    principals->push_back(principal);
  }
}

// Data text without id and last_modified, from a whole object.
std::string dataText(Value document) {
  document.asObject().erase("id");
  document.asObject().erase("last_modified");
  return json::dump(document);
}

// {"read":{"alice":"alice"}}: principals by name, so that a patch can address one.
Value permissionsDocument(const store::Permissions& permissions) {
  Value out = Value::object();
  out.asObject().set("read", Value::object());
  out.asObject().set("write", Value::object());
  for (const auto& [permission, principals] : permissions) {
    Value names = Value::object();
    for (const std::string& principal : principals) names.asObject().set(principal, principal);
    out.asObject().set(permission, std::move(names));
  }
  return out;
}

}  // namespace

Event ResourceRun::makeEvent(Action action, const store::Object& object) const {
  Event event;
  event.action = action;
  event.resource = &resource_;
  event.parent_id = op_.ref.parent;
  event.uri = op_.list_uri + "/" + object.id;
  event.bucket_id = call_.params.get("bucket_id");
  event.collection_id = call_.params.get("collection_id");
  event.user_id = call_.user;
  event.named = !op_.plural;
  event.timestamp = object.last_modified;
  event.object = object;
  return event;
}

// Does the whole request end with the write at hand?
bool ResourceRun::endsHere() const {
  const Exchange& exchange = call_.exchange;
  const App& app = call_.app();
  bool hooked =
      !app.afterWrite().empty() || !app.beforeCascade().empty() || !app.beforeCommit().empty();
  return &exchange.call == &call_ && !exchange.batch && !hooked &&
         resource_.name != "group";  // a group's members follow
}

Task<bool> ResourceRun::changed(const Event& event) {
  Event copy = event;
  co_return co_await followChange(s_, call_, std::move(copy));
}

// PUT: the permissions named replace, all others are emptied. POST and PATCH: others stay.
void ResourceRun::replacePermissions(Draft& draft) {
  draft.permissions = op_.body.permissions;
  if (draft.permissions.empty() || call_.method != http::Method::kPut) return;
  for (const std::string& name : resource_.permissions) {
    if (!principalsOf(draft.permissions, name))
      draft.permissions.emplace_back(name, std::vector<std::string>());
  }
}

// Merge patch: what is there, changed by what was sent; null removes.
void ResourceRun::mergePermissions(Draft& draft) {
  if (!op_.body.has_permissions) return;
  draft.permissions = storedPermissions();
  for (const auto& [name, principals] : op_.body.permissions) {
    if (auto* existing = principalsOf(draft.permissions, name)) {
      *existing = principals;
    } else {
      draft.permissions.emplace_back(name, principals);
    }
  }
  for (const std::string& name : op_.body.removed_permissions) {
    if (auto* existing = principalsOf(draft.permissions, name)) existing->clear();
  }
  for (const std::string& name : resource_.permissions) {
    if (!principalsOf(draft.permissions, name))
      draft.permissions.emplace_back(name, std::vector<std::string>());
  }
}

Task<bool> ResourceRun::write(Draft& draft, store::Object& written,
                              store::Permissions& permissions) {
  for (Plugin* plugin : call_.app().beforeWrite()) {
    if (!co_await plugin->beforeWrite(s_, call_, draft)) co_return false;
  }
  bool create = draft.action == Action::kCreate;
  permissions = create ? store::Permissions() : storedPermissions();
  for (const auto& [name, principals] : draft.permissions) {
    auto* existing = principalsOf(permissions, name);
    if (existing) {
      *existing = principals;
    } else {
      permissions.emplace_back(name, principals);
    }
  }
  store::Permissions to_store = draft.permissions;
  if (config_.explicit_permissions) {
    auto* writers = principalsOf(permissions, "write");
    bool there =
        writers && std::find(writers->begin(), writers->end(), op_.owner) != writers->end();
    if (!there) {
      addPrincipal(permissions, "write", op_.owner);
      auto* stored = principalsOf(to_store, "write");
      if (!stored) {
        to_store.emplace_back("write", *principalsOf(permissions, "write"));
      } else {
        stored->push_back(op_.owner);
      }
    }
  }
  store::Put put;
  put.ref = op_.ref;
  put.object = draft.object;
  put.create = create;
  put.fresh = create && op_.id.empty();
  put.uri = draft.uri;
  put.permissions = std::move(to_store);
  put.last = endsHere();
  auto done = co_await s_.put(std::move(put));
  if (!done.ok()) co_return failed(done.error());
  written = std::move(*done);
  Event event = makeEvent(draft.action, written);
  if (draft.old) event.old = *draft.old;
  co_return co_await changed(event);
}

Task<bool> ResourceRun::post() {
  if (!co_await load()) co_return false;
  if (!co_await loadAbove()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (!co_await authorizeObject()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_parent) co_return noParent();
  const store::Object* existing = op_.loaded.object ? &*op_.loaded.object : nullptr;
  if (!co_await checkUnmodified(existing != nullptr, existing)) co_return false;
  if (existing) {
    addTimestamp(call_.answer, existing->last_modified);
    answerObject(*existing, storedPermissions());
    co_return true;
  }
  Draft draft;
  draft.resource = &resource_;
  draft.object.id = op_.id.empty() ? makeId(resource_.ids) : op_.id;
  draft.object.data = op_.body.data;
  draft.object.last_modified = op_.body.last_modified;
  draft.uri = op_.list_uri + "/" + draft.object.id;
  replacePermissions(draft);
  store::Object written;
  store::Permissions permissions;
  if (!co_await write(draft, written, permissions)) co_return false;
  call_.answer.status = 201;
  addTimestamp(call_.answer, written.last_modified);
  answerObject(written, permissions);
  co_return true;
}

Task<bool> ResourceRun::put() {
  if (!co_await load()) co_return false;
  bool exists = op_.loaded.object.has_value();
  if (!exists && !co_await loadAbove()) co_return false;
  if (!co_await authorizeObject()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (op_.invalid_parent) co_return noParent();
  const store::Object* existing = exists ? &*op_.loaded.object : nullptr;
  if (!co_await checkUnmodified(exists, existing)) co_return false;
  if (op_.body.has_data && op_.body.id && !(*op_.body.id == Value(op_.id))) {
    co_return refuseField("id", std::string(kIdMismatch));
  }
  Draft draft;
  draft.action = exists ? Action::kUpdate : Action::kCreate;
  draft.resource = &resource_;
  draft.old = existing;
  draft.uri = op_.objectUri();
  draft.object.id = op_.id;
  draft.object.data = op_.body.has_data || !exists ? op_.body.data : existing->data;
  draft.object.last_modified = op_.body.last_modified;
  replacePermissions(draft);
  store::Object written;
  store::Permissions permissions;
  if (!co_await write(draft, written, permissions)) co_return false;
  if (!exists) call_.answer.status = 201;
  addTimestamp(call_.answer, written.last_modified);
  answerObject(written, permissions);
  co_return true;
}

bool ResourceRun::patchWithOperations(Draft& draft, Value& document, Value& applied) {
  Value whole = Value::object();
  whole.asObject().set("data", document);
  whole.asObject().set("permissions", permissionsDocument(storedPermissions()));
  Value operations = op_.body.operations;
  for (Value& operation : operations.asArray()) {
    const std::string& path = operation.get("path")->asString();
    bool one =
        path.rfind("/permissions/read/", 0) == 0 || path.rfind("/permissions/write/", 0) == 0;
    if (one) operation.asObject().set("value", path.substr(path.rfind('/') + 1));
  }
  auto fail = [this](const std::string& why) {
    Problem problem("body", "", "JSON Patch operation failed: " + why);
    problem.has_name = false;
    setInvalid(call_.answer, {problem});
    return false;
  };
  auto result = json::applyPatch(std::move(whole), operations);
  if (!result) return fail(result.error().message);
  Value* data = result->get("data");
  Value* permissions = result->get("permissions");
  if (!data || !data->isObject()) return fail("data is not an object");
  if (!permissions || !permissions->isObject()) return fail("permissions is not an object");
  for (const auto& [name, value] : permissions->asObject()) {
    const auto& known = resource_.permissions;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fail("unknown permission " + name);
    }
    std::vector<std::string> principals;
    if (value.isObject()) {
      for (const auto& [principal, unused] : value.asObject()) principals.push_back(principal);
    } else if (value.isArray()) {
      for (const Value& principal : value.asArray()) {
        if (!principal.isString()) return fail("a principal is not a string");
        principals.push_back(principal.asString());
      }
    } else {
      return fail("permission " + name + " is not a list");
    }
    std::sort(principals.begin(), principals.end());
    principals.erase(std::unique(principals.begin(), principals.end()), principals.end());
    draft.permissions.emplace_back(name, std::move(principals));
  }
  document = std::move(*data);
  applied = document;
  return true;
}

// Makes draft.object out of the stored one and the patch. `applied`: the fields asked for.
bool ResourceRun::patchDocument(Draft& draft, Value& applied) {
  const store::Object& old = *draft.old;
  Value document = documentOf(old);
  if (op_.kind == BodyKind::kJsonPatch) {
    if (!patchWithOperations(draft, document, applied)) return false;
  } else {
    applied = op_.body.has_data ? op_.body.patch_data : Value::object();
    if (op_.kind == BodyKind::kMergePatch) {
      if (const Value* time = applied.get("last_modified"); time && time->isNull()) {
        return refuseField("last_modified", "last_modified cannot be removed");
      }
      document = json::applyMergePatch(std::move(document), applied);
      mergePermissions(draft);
    } else {
      for (const auto& [key, value] : applied.asObject()) document.asObject().set(key, value);
      replacePermissions(draft);
    }
  }
  std::vector<Problem> problems;
  checkFields(document, resource_, "", problems);
  if (!problems.empty()) {
    setInvalid(call_.answer, {problems.front()});
    return false;
  }
  const Value* id = document.get("id");
  if (id && !(*id == Value(op_.id))) return refuseField("id", std::string(kIdMismatch));
  draft.object.last_modified = timestampField(document.get("last_modified"));
  if (draft.object.last_modified <= old.last_modified) draft.object.last_modified = 0;
  draft.object.data = dataText(std::move(document));
  return true;
}

void ResourceRun::answerPatched(const store::Object& written, const Value& applied,
                                const Value& before) {
  Value now = documentOf(written);
  Value shown = Value::object();
  for (const auto& [key, asked] : applied.asObject()) {
    const Value* value = now.get(key);
    const Value* old = before.get(key);
    if (!value) continue;                                // removed: there is nothing to show
    bool same = old ? *old == *value : value->isNull();  // absent counts as null
    bool as_asked = op_.response_behavior == "diff" && asked == *value;
    if (!same && !as_asked) shown.asObject().set(key, *value);
  }
  std::string& out = call_.answer.body;
  out.assign("{\"data\":");
  json::dumpTo(out, shown);
  out += '}';
}

Task<bool> ResourceRun::patch() {
  if (!co_await load()) co_return false;
  bool exists = op_.loaded.object.has_value();
  if (!exists && !co_await loadAbove()) co_return false;
  if (!co_await authorizeObject()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (!exists) co_return notFound();
  const store::Object& existing = *op_.loaded.object;
  if (!co_await checkUnmodified(true, &existing)) co_return false;
  if (op_.kind != BodyKind::kJsonPatch && op_.body.empty()) {
    co_return refuseField("data", "Provide at least one of data or permissions");
  }
  Draft draft;
  draft.action = Action::kUpdate;
  draft.resource = &resource_;
  draft.old = &existing;
  draft.uri = op_.objectUri();
  draft.object.id = op_.id;
  Value applied;
  if (!patchDocument(draft, applied)) co_return false;
  store::Object written;
  store::Permissions permissions;
  if (!co_await write(draft, written, permissions)) co_return false;
  addTimestamp(call_.answer, written.last_modified);
  if (op_.response_behavior == "full") {
    answerObject(written, permissions);
  } else {
    Value before = documentOf(existing);
    answerPatched(written, applied, before);
  }
  co_return true;
}

Task<bool> ResourceRun::deleteObject() {
  if (!co_await load()) co_return false;
  bool exists = op_.loaded.object.has_value();
  if (!exists && !co_await loadAbove()) co_return false;
  if (!co_await authorizeObject()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (!exists) co_return notFound();
  const store::Object& existing = *op_.loaded.object;
  if (!co_await checkUnmodified(true, &existing)) co_return false;
  store::Timestamp requested =
      op_.delete_timestamp > existing.last_modified ? op_.delete_timestamp : 0;
  auto removed = co_await s_.remove(op_.ref, op_.id, requested);
  if (!removed.ok()) {
    if (removed.error().code == ErrorCode::kNotFound) co_return notFound();
    co_return failed(removed.error());
  }
  std::vector<std::string> uris = {op_.objectUri()};
  auto forgotten = co_await s_.removeAces(uris);
  if (!forgotten.ok()) co_return failed(forgotten.error());
  Event event = makeEvent(Action::kDelete, *removed);
  event.old = existing;
  if (!co_await changed(event)) co_return false;
  addTimestamp(call_.answer, removed->last_modified);
  std::string& out = call_.answer.body;
  out.assign("{\"data\":");
  renderObject(out, *removed);
  out += '}';
  co_return true;
}

Task<bool> ResourceRun::deleteList() {
  if (!co_await load()) co_return false;
  if (!co_await authorizeList()) co_return false;
  if (!co_await loadAbove()) co_return false;
  if (!reportProblems()) co_return false;
  if (op_.invalid_parent) co_return noParent();
  if (!co_await listTimestamp()) co_return false;
  if (!co_await checkUnmodified(true, nullptr)) co_return false;
  if (!reportLate()) co_return false;
  Exchange& exchange = call_.exchange;
  if (!op_.list.token_nonce.empty()) {
    const auto& redeemed = exchange.redeemed;
    if (std::find(redeemed.begin(), redeemed.end(), op_.list.token_nonce) == redeemed.end()) {
      Problem problem("querystring", "", "_token was already used or has expired.");
      problem.has_name = false;
      op_.late = std::move(problem);
      co_return reportLate();
    }
    exchange.spent.push_back(op_.list.token_nonce);
  }
  std::uint64_t limit = op_.list.limit;
  store::Query query = op_.list.query;
  query.include_deleted = false;
  query.limit = limit + 1;
  auto before = co_await s_.list(op_.ref, query);
  if (!before.ok()) co_return failed(before.error());
  query.limit = limit;
  auto removed = co_await s_.removeAll(op_.ref, query, true);
  if (!removed.ok()) co_return failed(removed.error());
  const std::vector<store::DeletedObject>& deleted = *removed;

  std::vector<std::string> uris;
  for (const store::DeletedObject& d : deleted) {
    uris.push_back(op_.list_uri + "/" + d.tombstone.id);
  }
  if (!uris.empty()) {
    auto forgotten = co_await s_.removeAces(uris);
    if (!forgotten.ok()) co_return failed(forgotten.error());
  }
  std::unordered_map<std::string_view, const store::Object*> old_by_id;
  for (const store::Object& old : *before) old_by_id.emplace(old.id, &old);
  store::Timestamp latest = 0;
  for (const store::DeletedObject& d : deleted) {
    latest = std::max(latest, d.tombstone.last_modified);
    Event event = makeEvent(Action::kDelete, d.tombstone);
    if (auto old = old_by_id.find(d.tombstone.id); old != old_by_id.end()) event.old = *old->second;
    if (!co_await changed(event)) co_return false;
  }
  addTimestamp(call_.answer, deleted.empty() ? op_.list_timestamp : latest);
  if (!deleted.empty() && before->size() > limit) {
    std::string nonce = "pagination-token-" + uuid4();
    exchange.issued.push_back(nonce);
    nextPage((*before)[limit - 1], op_.list.token_offset, nonce);
  }
  std::string& out = call_.answer.body;
  out.assign("{\"data\":[");
  for (std::size_t i = 0; i < deleted.size(); ++i) {
    if (i > 0) out += ',';
    renderObject(out, deleted[i].tombstone);
  }
  out += "]}";
  co_return true;
}

}  // namespace godwit::kinto
