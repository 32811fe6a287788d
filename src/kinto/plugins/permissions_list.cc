#include "kinto/plugins/permissions_list.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "json/value.h"
#include "kinto/app.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

using Granted = std::map<std::string, std::set<std::string>>;  // permissions by URI

struct Place {
  const char* resource = nullptr;  // nullptr: no object the API knows
  std::string bucket, second, third;
};

// Which object a URI names. The second id is a collection's or a group's, the third a record's.
Place placeOf(std::string_view uri) {
  Place p;
  if (uri == "/") {
    p.resource = "root";
    return p;
  }
  auto parts = split(uri, '/');
  if (parts.size() == 3 && parts[0].empty() && parts[1] == "accounts") {
    p.resource = "account";
    p.second = parts[2];
    return p;
  }
  if (parts.size() < 3 || !parts[0].empty() || parts[1] != "buckets") return p;
  p.bucket = parts[2];
  if (parts.size() == 3) p.resource = "bucket";
  if (parts.size() >= 5) p.second = parts[4];
  if (parts.size() == 5 && parts[3] == "collections") p.resource = "collection";
  if (parts.size() == 5 && parts[3] == "groups") p.resource = "group";
  if (parts.size() == 7 && parts[3] == "collections" && parts[5] == "records") {
    p.resource = "record";
    p.third = parts[6];
  }
  return p;
}

// What settings give the user, by resource name; "root" for what may be made at the top.
std::map<std::string, std::set<std::string>> fromSettings(const Call& call) {
  static constexpr std::pair<const char*, const char*> kParents[] = {{"collection", "bucket"},
                                                                     {"group", "bucket"},
                                                                     {"record", "collection"},
                                                                     {"bucket", "root"},
                                                                     {"account", "root"}};
  std::map<std::string, std::set<std::string>> out;
  for (const auto& [key, principals] : call.config().principals) {
    if (std::none_of(principals.begin(), principals.end(),
                     [&](const std::string& p) { return call.is(p); }))
      continue;
    for (std::string_view permission : {"create", "write", "read"}) {
      std::string suffix = "_" + std::string(permission) + "_principals";
      if (!key.ends_with(suffix)) continue;
      std::string resource = key.substr(0, key.size() - suffix.size());
      if (permission != "create") {
        if (call.app().resource(resource)) out[resource].insert(std::string(permission));
        continue;
      }
      for (const auto& [child, parent] : kParents) {
        if (resource == child && call.app().resource(resource))
          out[parent].insert(resource + ":create");
      }
    }
  }
  return out;
}

// Adds what the permissions imply on the same object ("write" gives "read").
void imply(const Resource& resource, std::set<std::string>& permissions) {
  std::set<std::string> more;
  for (const PermissionRule& rule : resource.rules) {
    for (const Granter& granter : rule.granters) {
      if (granter.resource != resource.name) continue;
      for (const std::string& p : granter.permissions) {
        if (permissions.contains(p)) more.insert(rule.permission);
      }
    }
  }
  permissions.merge(more);
}

store::Object entryOf(const std::string& uri, const Place& place,
                      const std::set<std::string>& permissions) {
  store::Object entry;
  std::string& out = entry.data;
  auto field = [&](std::string_view name, std::string_view value) {
    out += out.size() > 1 ? ",\"" : "\"";
    out.append(name).append("\":");
    json::dumpString(out, value);
  };
  out = "{";
  field("uri", uri);
  std::string_view resource = place.resource;
  field("resource_name", resource);
  out += ",\"permissions\":[";
  bool first = true;
  for (const std::string& p : permissions) {
    if (!first) out += ',';
    first = false;
    json::dumpString(out, p);
  }
  out += ']';
  std::string_view id = resource == "bucket"   ? place.bucket
                        : resource == "record" ? place.third
                        : resource == "collection" || resource == "group" || resource == "account"
                            ? place.second
                            : std::string_view();
  if (!id.empty()) field("id", id);
  // What has no id of its own sorts behind every id; no id holds a tilde.
  entry.id = id.empty() ? std::string("~") : std::string(id);
  if (!place.bucket.empty()) field("bucket_id", place.bucket);
  if (resource == "account") field("account_id", place.second);
  if (resource == "group") field("group_id", place.second);
  if (resource == "collection" || resource == "record") field("collection_id", place.second);
  if (resource == "record") field("record_id", place.third);
  out += '}';
  return entry;
}

Task<Result<void>> addFromSettings(store::Session& session, Call& call, Granted& granted) {
  auto settings = fromSettings(call);
  for (const std::string& permission : settings["root"]) granted["/"].insert(permission);
  bool any =
      settings.contains("bucket") || settings.contains("collection") || settings.contains("group");
  if (!any) co_return Result<void>();
  store::Query everything;
  store::Ref all{"bucket", ""};
  auto buckets = co_await session.list(all, everything);
  if (!buckets.ok()) co_return std::move(buckets.error());
  for (const store::Object& bucket : *buckets) {
    std::string uri = "/buckets/" + bucket.id;
    for (const char* resource : {"bucket", "collection", "group"}) {
      auto given = settings.find(resource);
      if (given == settings.end()) continue;
      if (given->first == "bucket") {
        granted[uri].insert(given->second.begin(), given->second.end());
        continue;
      }
      store::Ref below{given->first, uri};
      auto children = co_await session.list(below, everything);
      if (!children.ok()) co_return std::move(children.error());
      for (const store::Object& child : *children) {
        std::string child_uri = uri + "/" + given->first + "s/" + child.id;
        granted[child_uri].insert(given->second.begin(), given->second.end());
      }
    }
  }
  co_return Result<void>();
}

Task<Result<std::vector<store::Object>>> compute(store::Session& session, Call& call) {
  std::vector<store::Session::Bound> unbound;
  auto aces = co_await session.accessible(call.principals, unbound, false);
  if (!aces.ok()) co_return std::move(aces.error());
  Granted granted;
  for (const store::Ace& ace : *aces) granted[ace.uri].insert(ace.permission);
  auto added = co_await addFromSettings(session, call, granted);
  if (!added.ok()) co_return std::move(added.error());
  std::vector<store::Object> out;
  for (auto& [uri, permissions] : granted) {
    Place place = placeOf(uri);
    if (!place.resource) continue;
    if (const Resource* resource = call.app().resource(place.resource))
      imply(*resource, permissions);
    out.push_back(entryOf(uri, place, permissions));
  }
  co_return out;
}

class PermissionsPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "permissions"; }

  Result<void> setUp(Setup& setup) override {
    setup.addCapability(
        "permissions_endpoint",
        R"({"description":"The permissions endpoint can be used to list all user objects permissions.",)"
        R"("url":"https://kinto.readthedocs.io/en/latest/configuration/settings.html)"
        R"(#activating-the-permissions-endpoint"})");
    Resource list;
    list.name = "permissions";
    list.plural_path = "/permissions";
    list.rules = {{"read", {}}};
    list.strict = true;
    list.known_fields = {"uri",           "resource_name", "permissions", "bucket_id",
                         "collection_id", "group_id",      "record_id"};
    list.order_by = "uri";
    list.compute = compute;
    list.plural_methods = {"HEAD", "GET"};
    list.object_methods = {};
    setup.addResource(std::move(list));
    return {};
  }
};

}  // namespace

std::unique_ptr<Plugin> makePermissionsPlugin() { return std::make_unique<PermissionsPlugin>(); }

}  // namespace godwit::kinto
