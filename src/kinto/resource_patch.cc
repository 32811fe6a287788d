#include <algorithm>

#include "json/patch.h"
#include "kinto/exchange.h"
#include "kinto/permissions.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {
namespace {

using json::Value;

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
  if (id && !(*id == Value(op_.id))) return refuseOtherId();
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
  const store::Object& existing = *op_.loaded.object;
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

}  // namespace godwit::kinto
