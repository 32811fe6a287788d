#include "kinto/plugins/implicit.h"

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/ids.h"
#include "kinto/resource_run.h"
#include "store/session.h"

namespace godwit::kinto {

Task<bool> createImplicitly(store::Session& session, Call& call, const Implicit& wanted) {
  const App& app = call.app();
  const Resource& resource = *wanted.resource;
  store::Ref list{resource.name, wanted.parent};
  Result<store::Object> existing = co_await session.get(list, wanted.id);
  if (existing.ok()) co_return true;
  if (existing.error().code != ErrorCode::kNotFound) {
    app.storageFailed(call, existing.error());
    co_return false;
  }
  if (!validId(resource.ids, wanted.id)) {
    Problem problem("path", "", "Invalid " + resource.name + " id");
    problem.has_name = false;
    setInvalid(call.answer, {problem});
    co_return false;
  }
  Draft draft;
  draft.resource = &resource;
  draft.uri = wanted.uri;
  draft.object.id = wanted.id;
  for (Plugin* plugin : app.beforeWrite()) {
    bool goes_on = co_await plugin->beforeWrite(session, call, draft);
    if (!goes_on) co_return false;
  }
  store::Object object = draft.object;
  Result<store::Object> created = co_await session.create(list, std::move(object));
  if (!created.ok()) {
    app.storageFailed(call, created.error());
    co_return false;
  }
  if (call.config().explicit_permissions) {
    store::Permissions owner;
    owner.emplace_back("write", std::vector<std::string>{call.user});
    Result<void> granted = co_await session.replaceAces(wanted.uri, owner);
    if (!granted.ok()) {
      app.storageFailed(call, granted.error());
      co_return false;
    }
  }
  Event event;
  event.resource = &resource;
  event.parent_id = wanted.parent;
  event.uri = wanted.uri;
  event.bucket_id = wanted.bucket_id;
  event.user_id = call.user;
  event.timestamp = created->last_modified;
  event.object = *created;
  bool followed = co_await followChange(session, call, std::move(event));
  co_return followed;
}

}  // namespace godwit::kinto
