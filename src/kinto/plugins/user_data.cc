#include "kinto/plugins/user_data.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "json/value.h"
#include "kinto/app.h"
#include "kinto/resource_run.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

// Where an object is stored, found by its URI.
struct Target {
  const Resource* resource = nullptr;
  store::Ref list;
  std::string id, bucket_id, collection_id;
};

Target targetOf(const App& app, std::string_view uri) {
  Target t;
  auto parts = split(uri, '/');
  if (parts.size() < 3 || parts.size() % 2 == 0) return t;
  std::string_view plural = parts[parts.size() - 2];
  t.resource = app.resource(plural.substr(0, plural.size() - 1));
  if (!t.resource) return t;
  t.id = parts.back();
  t.list.resource = t.resource->name;
  std::size_t cut = uri.size() - t.id.size() - plural.size() - 2;
  t.list.parent = t.resource->own_lists ? t.id : std::string(uri.substr(0, cut));
  if (parts.size() > 3) t.bucket_id = parts[2];
  if (parts.size() > 5) t.collection_id = parts[4];
  return t;
}

// Deleting an object deletes what is below it: only the topmost of each line are left.
std::vector<std::string> topmost(const std::set<std::string>& uris) {
  std::vector<std::string> out;
  for (const std::string& uri : uris) {
    bool below = false;
    for (std::size_t slash = uri.rfind('/'); slash != std::string::npos && slash > 0;
         slash = uri.rfind('/', slash - 1)) {
      below = below || uris.contains(uri.substr(0, slash));
    }
    if (!below) out.push_back(uri);
  }
  return out;
}

class UserDataPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "user_data"; }

  Result<void> setUp(Setup& setup) override {
    auto route = std::make_unique<Route>();
    route->name = "user-data-object";
    route->pattern = "/__user_data__/{principal}";
    route->methods = {"DELETE"};
    Service& service = route->services[indexOf(http::Method::kDelete)];
    service.writes = true;
    service.work = [](store::Session& session, Call& call) { return forget(session, call); };
    setup.addRoute(std::move(route));
    // The list of users is no one's to read: a path that exists, without methods.
    auto list = std::make_unique<Route>();
    list->name = "user-data-plural";
    list->pattern = "/__user_data__";
    setup.addRoute(std::move(list));
    return {};
  }

 private:
  static bool failed(Call& call, const Error& error) {
    call.app().storageFailed(call, error);
    return false;
  }

  static Task<bool> forget(store::Session& session, Call& call) {
    const auto& allowed = call.config().granted("user-data_delete_principals");
    if (std::none_of(allowed.begin(), allowed.end(),
                     [&](const std::string& p) { return call.is(p); })) {
      call.app().refuse(call);
      co_return false;
    }
    std::string principal(call.params.get("principal"));
    std::vector<std::string> whose = {principal};
    std::vector<store::Session::Bound> unbound;
    auto granted = co_await session.accessible(whose, unbound, false);
    if (!granted.ok()) co_return failed(call, granted.error());

    std::set<std::string> reached;
    for (const store::Ace& ace : *granted) reached.insert(ace.uri);
    std::vector<std::string> uris(reached.begin(), reached.end());
    auto aces = co_await session.aces(uris);
    if (!aces.ok()) co_return failed(call, aces.error());
    std::set<std::string> owned = reached;
    std::set<std::string> written;
    for (const store::Ace& ace : *aces) {
      if (ace.permission != "write") continue;
      written.insert(ace.uri);
      if (ace.principal != principal) owned.erase(ace.uri);
    }
    std::erase_if(owned, [&](const std::string& uri) { return !written.contains(uri); });

    for (const store::Ace& ace : *granted) {
      if (owned.contains(ace.uri)) continue;
      auto removed = co_await session.removeAce(ace);
      if (!removed.ok()) co_return failed(call, removed.error());
    }
    for (const std::string& uri : topmost(owned)) {
      if (!co_await remove(session, call, uri)) co_return false;
    }
    auto groups = co_await session.userPrincipals(principal);
    if (!groups.ok()) co_return failed(call, groups.error());
    for (const std::string& group : *groups) {
      auto left = co_await session.removeUserPrincipal(principal, group);
      if (!left.ok()) co_return failed(call, left.error());
    }
    auto gone = co_await session.removePrincipal(principal);
    if (!gone.ok()) co_return failed(call, gone.error());
    call.answer.body = "{\"data\":{\"principal\":";
    json::dumpString(call.answer.body, principal);
    call.answer.body += "}}";
    co_return true;
  }

  static Task<bool> remove(store::Session& session, Call& call, const std::string& uri) {
    Target target = targetOf(call.app(), uri);
    if (!target.resource) co_return true;
    auto old = co_await session.get(target.list, target.id);
    // An ACE without object is nobody's data.
    if (!old.ok() && old.error().code != ErrorCode::kNotFound) co_return failed(call, old.error());
    std::vector<std::string> uris = {uri};
    auto forgotten = co_await session.removeAces(uris);
    if (!forgotten.ok()) co_return failed(call, forgotten.error());
    if (!old.ok()) co_return true;
    auto tombstone = co_await session.remove(target.list, target.id, 0);
    if (!tombstone.ok()) co_return failed(call, tombstone.error());
    Event event;
    event.action = Action::kDelete;
    event.resource = target.resource;
    event.parent_id = target.list.parent;
    event.uri = uri;
    event.bucket_id = target.bucket_id;
    event.collection_id = target.collection_id;
    event.user_id = call.user;
    event.timestamp = tombstone->last_modified;
    event.object = *tombstone;
    event.old = std::move(*old);
    co_return co_await followChange(session, call, std::move(event));
  }
};

}  // namespace

std::unique_ptr<Plugin> makeUserDataPlugin() { return std::make_unique<UserDataPlugin>(); }

}  // namespace godwit::kinto
