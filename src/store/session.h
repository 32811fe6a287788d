#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "godwit/result.h"
#include "store/types.h"

namespace godwit::store {

// One unit of work on the data: everything done through it commits or rolls back together. Valid
// only inside the function Backend::run called with it. In a read session every method that would
// change something answers kNeedsWrite; the unit is then run again as a write. Other errors:
// kUnavailable (backend away; retry later), kTimeout, kLimit (full), kInvalid (the backend cannot
// hold the value), kInternal. Arguments must stay valid until the task has finished.
class Session {
 public:
  virtual ~Session() = default;
  [[nodiscard]] virtual bool writable() const = 0;

  // --- Hot read: groups of a user, ACEs of some objects, and one object, in one round trip.
  virtual Task<Result<Loaded>> load(const LoadSpec& spec) = 0;

  // --- Objects
  // Timestamp of the list. The first call on an empty list creates and persists it (a write).
  virtual Task<Result<Timestamp>> timestamp(const Ref& ref) = 0;
  // Timestamp rules for create/update/remove: a requested last_modified (non-zero) that is at or
  // below the object's current one is ignored; one equal to the list's is raised by 1; in the past
  // it is kept and the list's stays; in the future it moves the list's. Without one:
  // max(now, list + 1). Unique within the list, tombstones included: one in the past that another
  // object of the list has already is treated as not requested. A tombstone counts as the object's
  // current state. Requested values outside 1..2^53-1 are kInvalid.
  // kConflict when a live object has that id. Replaces a tombstone.
  virtual Task<Result<Object>> create(const Ref& ref, Object object) = 0;
  virtual Task<Result<Object>> get(const Ref& ref, std::string_view id) = 0;  // kNotFound
  // Replaces the object, or creates it (and replaces a tombstone).
  virtual Task<Result<Object>> update(const Ref& ref, Object object) = 0;
  // create() or update(), and replaceAces() where there are permissions, in one step.
  virtual Task<Result<Object>> put(Put put);
  // Leaves a tombstone and returns it. kNotFound when missing or deleted already.
  virtual Task<Result<Object>> remove(const Ref& ref, std::string_view id, Timestamp requested) = 0;
  // The parent may be a pattern, as in removeAll: the objects of all lists of that resource.
  virtual Task<Result<std::vector<Object>>> list(const Ref& ref, const Query& query) = 0;
  // Live objects that match the filters; sort, limit and page rules are ignored. Patterns as list.
  virtual Task<Result<std::uint64_t>> count(const Ref& ref, const Query& query) = 0;
  // Deletes live objects that match (query.limit and sort apply). `parent` may end in or contain
  // '*', and resource may be "" for all. with_tombstones: leave tombstones, each with a timestamp
  // of its own, else no trace and the timestamps returned are the last ones. In the order of the
  // sort.
  virtual Task<Result<std::vector<DeletedObject>>> removeAll(const Ref& ref, const Query& query,
                                                             bool with_tombstones) = 0;
  // Forgets tombstones (those below `before`, when given). Patterns as removeAll. Returns how many.
  virtual Task<Result<std::uint64_t>> purgeTombstones(const Ref& ref,
                                                      std::optional<Timestamp> before) = 0;
  // Keeps the newest `keep` tombstones of each list of that resource.
  virtual Task<Result<std::uint64_t>> trimTombstones(std::string_view resource,
                                                     std::uint64_t keep) = 0;
  // Keeps the newest `keep` live objects matching the filters, removes the rest without trace.
  virtual Task<Result<std::uint64_t>> trimObjects(const Ref& ref, const Query& query,
                                                  std::uint64_t keep) = 0;
  // Forgets the timestamps of the lists below a deleted parent. Pattern as removeAll.
  virtual Task<Result<void>> removeTimestamps(std::string_view parent_pattern) = 0;
  struct Counts {
    std::map<std::string, std::uint64_t> objects, tombstones;  // by resource, zeros left out
  };
  virtual Task<Result<Counts>> counts() = 0;
  struct Size {
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;  // of data text
  };
  // Live objects of a resource below a parent pattern, for quotas.
  virtual Task<Result<Size>> size(const Ref& ref) = 0;

  // --- Groups
  // As Loaded::groups: with those of kAuthenticated, each once.
  virtual Task<Result<std::vector<std::string>>> userPrincipals(std::string_view user) = 0;
  virtual Task<Result<void>> addUserPrincipal(std::string_view user,
                                              std::string_view principal) = 0;
  virtual Task<Result<void>> removeUserPrincipal(std::string_view user,
                                                 std::string_view principal) = 0;
  // From every user. `principal_pattern` may end in '*'.
  virtual Task<Result<void>> removePrincipal(std::string_view principal_pattern) = 0;

  // --- Access control entries
  virtual Task<Result<std::vector<Ace>>> aces(const std::vector<std::string>& uris) = 0;
  // Replaces the principals of each permission named; an empty list removes that permission.
  virtual Task<Result<void>> replaceAces(std::string_view uri, const Permissions& permissions) = 0;
  virtual Task<Result<void>> addAce(const Ace& ace) = 0;
  virtual Task<Result<void>> removeAce(const Ace& ace) = 0;
  // URIs may contain '*', which matches any run of characters, '/' included.
  virtual Task<Result<void>> removeAces(const std::vector<std::string>& uri_patterns) = 0;
  // Every entry of one of `principals`. `bound` limits to (uri pattern, permission) pairs; empty
  // means no limit. with_children: a pattern also matches what is below it; otherwise its '*' does
  // not match '/'.
  struct Bound {
    std::string uri_pattern;
    std::string permission;
  };
  virtual Task<Result<std::vector<Ace>>> accessible(const std::vector<std::string>& principals,
                                                    const std::vector<Bound>& bound,
                                                    bool with_children) = 0;

  // --- Everything
  virtual Task<Result<void>> flush() = 0;  // objects, tombstones, timestamps, groups, ACEs
};

}  // namespace godwit::store
