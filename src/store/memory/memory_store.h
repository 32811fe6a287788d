#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "store/local_session.h"
#include "store/query.h"

namespace godwit::store {

// The data of the memory backend. Its owner keeps writers alone and readers from writers.
class MemoryStore final : public LocalStore {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  // Ends a unit of work that wrote: undoes everything since the last end, or keeps it.
  void rollback();
  void commit() { undo_.clear(); }

  Result<Loaded> load(const LoadSpec& spec) override;
  Result<Timestamp> timestamp(const Ref& ref, bool may_create) override;
  Result<Object> create(const Ref& ref, Object object) override;
  Result<Object> get(const Ref& ref, std::string_view id) override;
  Result<Object> update(const Ref& ref, Object object) override;
  Result<Object> remove(const Ref& ref, std::string_view id, Timestamp requested) override;
  Result<std::vector<Object>> list(const Ref& ref, const Query& query) override;
  Result<std::uint64_t> count(const Ref& ref, const Query& query) override;
  Result<std::vector<DeletedObject>> removeAll(const Ref& ref, const Query& query,
                                               bool with_tombstones) override;
  Result<std::uint64_t> purgeTombstones(const Ref& ref, std::optional<Timestamp> before) override;
  Result<std::uint64_t> trimTombstones(std::string_view resource, std::uint64_t keep) override;
  Result<std::uint64_t> trimObjects(const Ref& ref, const Query& query,
                                    std::uint64_t keep) override;
  Result<void> removeTimestamps(std::string_view parent_pattern) override;
  Result<Session::Counts> counts() override;
  Result<Session::Size> size(const Ref& ref) override;
  Result<std::vector<std::string>> userPrincipals(std::string_view user) override;
  Result<void> addUserPrincipal(std::string_view user, std::string_view principal) override;
  Result<void> removeUserPrincipal(std::string_view user, std::string_view principal) override;
  Result<void> removePrincipal(std::string_view principal_pattern) override;
  Result<std::vector<Ace>> aces(const std::vector<std::string>& uris) override;
  Result<void> replaceAces(std::string_view uri, const Permissions& permissions) override;
  Result<void> addAce(const Ace& ace) override;
  Result<void> removeAce(const Ace& ace) override;
  Result<void> removeAces(const std::vector<std::string>& uri_patterns) override;
  Result<std::vector<Ace>> accessible(const std::vector<std::string>& principals,
                                      const std::vector<Session::Bound>& bound,
                                      bool with_children) override;
  Result<void> flush() override;

 private:
  struct Row {
    Timestamp last_modified = 0;
    bool deleted = false;
    std::string data;
  };
  struct List {
    std::string resource;
    std::string parent;
    Timestamp timestamp = 0;  // 0: none yet
    Timestamp floor = 0;      // of the list of that name before, while it may matter
    std::uint64_t live = 0;
    std::uint64_t bytes = 0;  // of live data
    std::unordered_map<std::string, Row> rows;
    std::map<Timestamp, std::string> by_time;  // id, tombstones included
  };
  using ListKey = std::pair<std::string, std::string>;  // parent, resource
  using AceKey = std::pair<std::string, std::string>;   // uri, permission
  using Principals = std::set<std::string, std::less<>>;

  List* find(const Ref& ref);
  List& obtain(const Ref& ref);
  std::vector<List*> matching(std::string_view resource, std::string_view parent_pattern);
  // The list of that name, or those that match when the parent is a pattern.
  std::vector<List*> named(const Ref& ref);
  [[nodiscard]] static ObjectView view(const std::string& id, const Row& row);

  // Every change goes through these; they note how to undo it.
  void setTimestamp(List& list, Timestamp t, Timestamp floor = 0);
  void putRow(List& list, const std::string& id, Row row);
  void eraseRow(List& list, const std::string& id);
  void setAce(const AceKey& key, Principals principals);
  void setGroups(const std::string& user, Principals principals);
  void putRowRaw(List& list, const std::string& id, Row row);
  void eraseRowRaw(List& list, const std::string& id);

  Result<Object> write(List& list, Object object);
  // The matching live objects of a plan, in its order, across lists. tag: index into `lists`.
  static std::vector<Selection::Item> select(const std::vector<List*>& lists, const Plan& plan);

  const Clock& clock_;
  std::map<ListKey, List> lists_;
  std::map<std::string, Principals, std::less<>> groups_;  // by user
  std::map<AceKey, Principals> aces_;
  std::vector<std::function<void()>> undo_;
};

}  // namespace godwit::store
