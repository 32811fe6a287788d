#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "godwit/result.h"
#include "json/value.h"
#include "kinto/config.h"
#include "store/types.h"

namespace godwit::store {
class Session;
}

namespace godwit::kinto {

class Call;

// Who gets a permission: any of `permissions` on the object itself or the ancestor of that
// resource.
struct Granter {
  std::string resource;
  std::vector<std::string> permissions;
};

// A row of the inheritance table. "read:attributes" replaces "read" for the object's own metadata.
struct PermissionRule {
  std::string permission;
  std::vector<Granter> granters;
};

// What a field of the data must be. Fields without a rule may hold anything.
struct FieldRule {
  enum class Kind : std::uint8_t { kMapping, kInteger, kStrings, kString };
  std::string name;
  Kind kind = Kind::kMapping;
  bool required = false;
  bool defaults_to_empty_list = false;
  // Further checks of a value that has the right kind; text is the problem. May be empty.
  std::function<std::optional<std::string>(const json::Value&)> check;
  // The same for each item of kStrings.
  std::function<std::optional<std::string>(const std::string&)> check_item;

  FieldRule(std::string field, Kind k) : name(std::move(field)), kind(k) {}
};

// One permission that opens an endpoint, resolved at start.
struct Grant {
  static constexpr std::size_t kNowhere = SIZE_MAX;
  std::size_t depth = kNowhere;  // position in the chain root..object; kNowhere: settings only
  std::string permission;
  const std::vector<std::string>* settings = nullptr;  // principals granted by settings
};
using Grants = std::vector<Grant>;

// A kind of object the API stores: bucket, group, collection, record, and what plugins add. Filled
// at start by whoever defines it, then compile()d; immutable afterwards.
class Resource {
 public:
  std::string name;                      // "record"
  std::string plural_path;               // "/buckets/{bucket_id}/groups"
  std::string object_path;               // "/buckets/{bucket_id}/groups/{id}", "" for none
  const Resource* parent = nullptr;      // not owned
  std::vector<std::string> permissions;  // that its objects may carry, in the order of messages
  std::vector<PermissionRule> rules;
  IdKind ids = IdKind::kName;
  std::vector<FieldRule> fields;
  bool parent_must_exist = false;  // 404 naming the parent when it is missing
  // With strict fields, filters, _sort and _fields may only name known_fields.
  bool strict = false;
  std::vector<std::string> known_fields;
  std::vector<std::string> text_fields;  // a number in a filter on these means its digits
  // A list that is made when asked for instead of being stored: every object the user may see, its
  // data complete and shown as it is. `order_by` is a field whose values are unique.
  std::function<Task<Result<std::vector<store::Object>>>(store::Session&, Call&)> compute;
  std::string order_by = "last_modified";
  // Each object lives in a list of its own that has its name (accounts).
  bool own_lists = false;
  // Further conditions on a request, asked once the user's groups are known. May direct the
  // operation to another list or owner; false: call.answer holds an error.
  std::function<bool(Call&)> admit;
  std::vector<std::string> plural_methods = {"HEAD", "GET", "POST", "DELETE"};
  std::vector<std::string> object_methods = {"GET", "PUT", "PATCH", "DELETE"};

  // Computed by compile().
  std::size_t depth = 0;  // 0 for a root resource
  Grants object_read, object_write, list_read, list_write, create, create_on_parent;

  // Resolves grants against the settings. `parent` must be compiled already.
  void compile(const Config& config);
  [[nodiscard]] bool knows(std::string_view field) const;

 private:
  void resolve(const Config& config, const Resource* of, std::string_view permission, bool object,
               Grants& out) const;
};

// The four built-in resources.
Resource makeBucket();
Resource makeGroup(const Resource& bucket);
Resource makeCollection(const Resource& bucket);
Resource makeRecord(const Resource& collection);

}  // namespace godwit::kinto
