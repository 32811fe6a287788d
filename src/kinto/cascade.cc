#include <algorithm>

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {
namespace {

std::vector<std::string> membersOf(const store::Object& group) {
  std::vector<std::string> out;
  json::Value document = documentOf(group);
  const json::Value* members = document.get("members");
  if (members && members->isArray()) {
    for (const json::Value& member : members->asArray()) {
      if (member.isString()) out.push_back(member.asString());
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> without(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// Everything whose parent is `uri` or lies below it goes without a trace, so that an object made
// again under the same name starts empty.
Task<Result<void>> removeBelow(store::Session& s, const std::string& uri) {
  std::vector<std::string> patterns = {uri, uri + "/*"};
  store::Query everything;
  for (const std::string& pattern : patterns) {
    store::Ref below{"", pattern};
    auto removed = co_await s.removeAll(below, everything, false);
    if (!removed.ok()) co_return std::move(removed.error());
    auto purged = co_await s.purgeTombstones(below, std::nullopt);
    if (!purged.ok()) co_return std::move(purged.error());
    auto forgotten = co_await s.removeTimestamps(pattern);
    if (!forgotten.ok()) co_return std::move(forgotten.error());
  }
  auto closed = co_await s.removeAces(patterns);
  if (!closed.ok()) co_return std::move(closed.error());
  co_return Result<void>();
}

Task<Result<void>> followGroup(store::Session& s, const Event& event) {
  if (event.action == Action::kDelete) {
    auto removed = co_await s.removePrincipal(event.uri);
    co_return removed;
  }
  std::vector<std::string> before;
  if (event.old) before = membersOf(*event.old);
  std::vector<std::string> now = membersOf(event.object);
  for (const std::string& member : without(now, before)) {
    auto added = co_await s.addUserPrincipal(member, event.uri);
    if (!added.ok()) co_return std::move(added.error());
  }
  for (const std::string& member : without(before, now)) {
    auto removed = co_await s.removeUserPrincipal(member, event.uri);
    if (!removed.ok()) co_return std::move(removed.error());
  }
  co_return Result<void>();
}

}  // namespace

std::string_view toString(Action action) {
  switch (action) {
    case Action::kCreate:
      return "create";
    case Action::kUpdate:
      return "update";
    default:
      return "delete";
  }
}

Task<Result<void>> cascade(store::Session& session, const Event& event) {
  const std::string& resource = event.resource->name;
  if (resource == "group") {
    auto followed = co_await followGroup(session, event);
    co_return followed;
  }
  if (event.action != Action::kDelete) co_return Result<void>();
  if (resource == "bucket") {
    // Members must not find themselves in a group of the same name made later.
    std::string groups = event.uri + "/groups/*";
    auto removed = co_await session.removePrincipal(groups);
    if (!removed.ok()) co_return removed;
  }
  if (resource == "bucket" || resource == "collection") {
    auto removed = co_await removeBelow(session, event.uri);
    co_return removed;
  }
  co_return Result<void>();
}

Task<bool> followChange(store::Session& session, Call& call, Event event) {
  for (Plugin* plugin : call.app().beforeCascade()) {
    bool goes_on = co_await plugin->beforeCascade(session, call, event);
    if (!goes_on) co_return false;
  }
  auto followed = co_await cascade(session, event);
  if (!followed.ok()) {
    call.app().storageFailed(call, followed.error());
    co_return false;
  }
  for (Plugin* plugin : call.app().afterWrite()) {
    if (!co_await plugin->afterWrite(session, call, event)) co_return false;
  }
  call.exchange.events.push_back(std::move(event));
  co_return true;
}

}  // namespace godwit::kinto
