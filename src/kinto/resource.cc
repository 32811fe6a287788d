#include "kinto/resource.h"

#include <algorithm>

#include "json/schema/schema.h"

namespace godwit::kinto {
namespace {

// "record:create" asked of records is granted by record_create_principals, "write" by
// record_write_principals, whatever ancestor it is looked up on.
std::string settingFor(const std::string& resource, std::string_view permission) {
  std::string key;
  if (permission.substr(0, resource.size()) == resource) {
    key = permission;
    std::replace(key.begin(), key.end(), ':', '_');
  } else {
    key = resource + "_";
    key += permission;
  }
  return key + "_principals";
}

}  // namespace

void Resource::resolve(const Config& config, const Resource* of, std::string_view permission,
                       bool object, Grants& out) const {
  const PermissionRule* rule = nullptr;
  if (of) {
    std::string attributes = std::string(permission) + ":attributes";
    for (const PermissionRule& r : of->rules) {
      if (object && r.permission == attributes) {
        rule = &r;
        break;
      }
      if (r.permission == permission) rule = &r;
    }
  }
  if (rule) {
    for (const Granter& granter : rule->granters) {
      const Resource* at = of;
      while (at && at->name != granter.resource) at = at->parent;
      if (!at) continue;
      for (const std::string& p : granter.permissions) {
        out.push_back({at->depth, p, &config.granted(settingFor(name, p))});
      }
    }
  }
  if (out.empty()) {
    // Nothing in the tree opens it (the list of root objects): settings may.
    std::string_view asked = permission == name + ":create" ? "create" : permission;
    out.push_back({Grant::kNowhere, {}, &config.granted(settingFor(name, asked))});
  }
}

void Resource::compile(const Config& config) {
  if (auto it = config.id_kinds.find(name); it != config.id_kinds.end()) ids = it->second;
  depth = parent ? parent->depth + 1 : 0;
  std::string create_permission = name + ":create";
  resolve(config, this, "read", true, object_read);
  resolve(config, this, "write", true, object_write);
  resolve(config, parent, "read", false, list_read);
  resolve(config, parent, "write", false, list_write);
  resolve(config, parent, create_permission, false, create);
  std::string key = settingFor(name, parent ? create_permission : "create");
  create_on_parent = {
      {parent ? parent->depth : Grant::kNowhere, create_permission, &config.granted(key)}};
}

bool Resource::knows(std::string_view field) const {
  if (!strict) return true;
  std::string_view root = field.substr(0, field.find('.'));
  return root == "id" || root == "last_modified" || root == "deleted" ||
         std::find(known_fields.begin(), known_fields.end(), root) != known_fields.end();
}

namespace {

// A JSON schema, itself checked whether or not anything is validated with it.
FieldRule schemaField(std::string name) {
  FieldRule field(std::move(name), FieldRule::Kind::kMapping);
  field.check = [](const json::Value& value) -> std::optional<std::string> {
    Result<void> good = json::checkSchema(value);
    return good.ok() ? std::nullopt : std::optional<std::string>(good.error().message);
  };
  return field;
}

}  // namespace

Resource makeBucket() {
  Resource r;
  r.name = "bucket";
  r.plural_path = "/buckets";
  r.object_path = "/buckets/{id}";
  r.permissions = {"read", "write", "collection:create", "group:create"};
  r.rules = {
      {"write", {{"bucket", {"write"}}}},
      {"read", {{"bucket", {"write", "read"}}}},
      {"read:attributes", {{"bucket", {"write", "read", "collection:create", "group:create"}}}},
      {"group:create", {{"bucket", {"write", "group:create"}}}},
      {"collection:create", {{"bucket", {"write", "collection:create"}}}},
  };
  for (const char* field : {"collection:schema", "group:schema", "record:schema"}) {
    r.fields.push_back(schemaField(field));
  }
  return r;
}

Resource makeGroup(const Resource& bucket) {
  Resource r;
  r.name = "group";
  r.parent = &bucket;
  r.plural_path = "/buckets/{bucket_id}/groups";
  r.object_path = "/buckets/{bucket_id}/groups/{id}";
  r.permissions = {"read", "write"};
  r.rules = {
      {"write", {{"bucket", {"write"}}, {"group", {"write"}}}},
      {"read", {{"bucket", {"write", "read"}}, {"group", {"write", "read"}}}},
  };
  FieldRule members("members", FieldRule::Kind::kStrings);
  members.defaults_to_empty_list = true;
  members.check_item = [](const std::string& member) -> std::optional<std::string> {
    // A group within a group, or everybody, would make membership recursive or void.
    if (member.rfind("/buckets/", 0) == 0 || member == "system.Everyone") {
      return "'" + member + "' is not a valid user ID.";
    }
    return std::nullopt;
  };
  r.fields.push_back(std::move(members));
  return r;
}

Resource makeCollection(const Resource& bucket) {
  Resource r;
  r.name = "collection";
  r.parent = &bucket;
  r.plural_path = "/buckets/{bucket_id}/collections";
  r.object_path = "/buckets/{bucket_id}/collections/{id}";
  r.permissions = {"read", "write", "record:create"};
  r.rules = {
      {"write", {{"bucket", {"write"}}, {"collection", {"write"}}}},
      {"read", {{"bucket", {"write", "read"}}, {"collection", {"write", "read"}}}},
      {"read:attributes",
       {{"bucket", {"write", "read"}}, {"collection", {"write", "read", "record:create"}}}},
      {"record:create", {{"bucket", {"write"}}, {"collection", {"write", "record:create"}}}},
  };
  r.fields.push_back(schemaField("schema"));
  r.fields.emplace_back("cache_expires", FieldRule::Kind::kInteger);
  return r;
}

Resource makeRecord(const Resource& collection) {
  Resource r;
  r.name = "record";
  r.parent = &collection;
  r.plural_path = "/buckets/{bucket_id}/collections/{collection_id}/records";
  r.object_path = "/buckets/{bucket_id}/collections/{collection_id}/records/{id}";
  r.permissions = {"read", "write"};
  r.ids = IdKind::kRelaxedUuid;
  r.parent_must_exist = true;
  r.rules = {
      {"write", {{"bucket", {"write"}}, {"collection", {"write"}}, {"record", {"write"}}}},
      {"read",
       {{"bucket", {"write", "read"}},
        {"collection", {"write", "read"}},
        {"record", {"write", "read"}}}},
  };
  return r;
}

}  // namespace godwit::kinto
