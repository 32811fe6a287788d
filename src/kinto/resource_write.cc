#include <algorithm>

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/ids.h"
#include "kinto/permissions.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {
namespace {

using json::Value;

void addPrincipal(store::Permissions& permissions, const std::string& permission,
                  const std::string& principal) {
  auto* principals = principalsOf(permissions, permission);
  if (!principals) {
    permissions.emplace_back(permission, std::vector<std::string>{principal});
  } else if (std::find(principals->begin(), principals->end(), principal) == principals->end()) {
    principals->push_back(principal);
  }
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

// PUT: the permissions named replace, all others are emptied. POST and PATCH: others stay.
void ResourceRun::replacePermissions(Draft& draft) {
  draft.permissions = op_.body.permissions;
  if (draft.permissions.empty() || call_.method != http::Method::kPut) return;
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
  put.object = std::move(draft.object);
  put.create = create;
  put.fresh = create && op_.id.empty();
  put.uri = std::move(draft.uri);
  put.permissions = std::move(to_store);
  put.last = endsHere();
  auto done = co_await s_.put(std::move(put));
  if (!done.ok()) co_return failed(done.error());
  written = std::move(*done);
  Event event = makeEvent(draft.action, written);
  if (draft.old) event.old = *draft.old;
  co_return co_await followChange(s_, call_, std::move(event));
}

Task<bool> ResourceRun::post() {
  if (!co_await load()) co_return false;
  if (!co_await loadAbove()) co_return false;
  if (op_.invalid_id) co_return refuseId();
  if (!authorizeObject()) co_return false;
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
  bool exists = op_.loaded.object.has_value();
  const store::Object* existing = exists ? &*op_.loaded.object : nullptr;
  if (op_.body.has_data && op_.body.id && !(*op_.body.id == Value(op_.id))) {
    co_return refuseOtherId();
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

}  // namespace godwit::kinto
