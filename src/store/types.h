#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/value.h"

namespace godwit::store {

using Timestamp = std::int64_t;  // Unix milliseconds

// Which list: resource name and parent, e.g. {"record", "/buckets/b/collections/c"}.
// bucket: parent "" · group, collection, history: "/buckets/b" · record: the collection's URI ·
// account: its own id.
struct Ref {
  std::string resource;
  std::string parent;
};

struct Object {
  std::string id;
  Timestamp last_modified = 0;
  bool deleted = false;  // a tombstone; data is then "{}"
  // JSON object text, canonical (json::canonicalTo), without "id" and "last_modified".
  std::string data = "{}";
};

enum class Op : std::uint8_t {
  kEq,
  kNot,
  kLt,
  kGt,
  kMin,
  kMax,
  kIn,
  kExclude,
  kLike,
  kHas,
  kContains,
  kContainsAny
};

// `field` may be dotted. "id", "last_modified" and "deleted" name the columns. kIn, kExclude,
// kContains, kContainsAny take an array value; kHas a boolean; kLike a string with '*' wildcards
// (already completed by the caller). A tombstone has the field "deleted" with the value true and no
// other; a live object has what its data says. See docs/decisions/0010-query-semantics.md.
struct Filter {
  std::string field;
  Op op = Op::kEq;
  json::Value value;
  // Page rules only: compare with "absent", which is greater than every value. Ignores `value`;
  // kEq kNot kLt kGt kMin kMax only.
  bool missing = false;
};

struct Sort {
  std::string field;
  bool descending = false;
};

struct Query {
  std::vector<Filter> filters;                  // all must hold
  std::vector<std::vector<Filter>> page_rules;  // empty, or one of these groups must hold too
  std::vector<Sort> sort;                       // empty: -last_modified
  std::optional<std::uint64_t> limit;
  bool include_deleted = false;
};

struct Ace {
  std::string uri;         // "/buckets/b/collections/c"
  std::string permission;  // "read", "write", "record:create"
  std::string principal;
};

// The user whose groups are everybody's who is logged in.
inline constexpr std::string_view kAuthenticated = "system.Authenticated";

// Principals by permission of one object.
using Permissions = std::vector<std::pair<std::string, std::vector<std::string>>>;

// What one hot read needs, fetched together.
struct LoadSpec {
  std::string user;               // prefixed user id whose groups are wanted; "" for none
  std::vector<std::string> uris;  // objects whose ACEs are wanted: the target and its ancestors
  std::optional<Ref> ref;         // with id: the object itself
  std::string id;
  std::optional<Ref> above;  // with above_id: one more object, its parent for example
  std::string above_id;
};

struct Loaded {
  // Principals added to `user` by groups, and those every known user has through kAuthenticated.
  std::vector<std::string> groups;
  std::vector<Ace> aces;
  std::optional<Object> object;  // absent when missing; a tombstone counts as missing
  std::optional<Object> above;   // likewise
};

// One object to be written, with its permissions.
struct Put {
  Ref ref;
  Object object;
  bool create = false;      // kConflict when a live object has that id; else what is there goes
  bool fresh = false;       // the id was drawn at random just now: nothing can have it
  std::string uri;          // whose permissions, and
  Permissions permissions;  // those to replace, as Session::replaceAces does; may be empty
  // Nothing of this unit of work comes after it: it may be durable when it is answered. The unit
  // must then end with kCommit unless the call failed.
  bool last = false;

  Put() = default;
};

struct DeletedObject {
  std::string parent;
  Object tombstone;
};

}  // namespace godwit::store
