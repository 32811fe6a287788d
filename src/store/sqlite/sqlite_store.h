#pragma once

#include <functional>
#include <optional>

#include "base/clock.h"
#include "store/local_session.h"
#include "store/query.h"
#include "store/sqlite/connection.h"

namespace godwit::store::sqlite {

// One unit of work on one connection, inside a transaction its owner began. The first change opens
// a savepoint, so that a unit that fails leaves the other units of its group alone.
class SqliteStore final : public LocalStore {
 public:
  SqliteStore(Connection& connection, const Clock& clock)
      : connection_(connection), clock_(clock) {}

  // Starts a unit: forgets the failure of the one before.
  void reset();
  [[nodiscard]] bool changed() const { return in_savepoint_; }
  // The first storage failure of the unit. Once there, nothing of the unit may be committed: a
  // statement in the middle of an operation may be missing.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  // Ends the savepoint, if there is one.
  Result<void> keep();
  Result<void> undo();

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

  // --- Cache, in the same file
  Result<std::optional<std::string>> cacheGet(std::string_view key);
  Result<bool> cacheSet(std::string_view key, std::string_view value, std::int64_t ttl_ms,
                        std::size_t max_bytes);
  Result<bool> cacheExpire(std::string_view key, std::int64_t ttl_ms);
  Result<std::optional<std::string>> cacheTake(std::string_view key);
  Result<bool> cacheFlush();

  // A durable change that means nothing: proves that writing works.
  Result<void> heartbeat();
  Result<void> probe();  // the same for reading

 private:
  struct List {
    std::int64_t id = 0;  // 0: no such list
    Timestamp timestamp = 0;
    Timestamp floor = 0;  // stored as a negative timestamp: what the list before had
    std::int64_t live = 0;
    std::int64_t tombstones = 0;
    std::int64_t bytes = 0;
    std::string parent;
    std::string resource;
  };

  // Remembers a failed statement, when the unit changes things.
  Error failed(Error error);
  Result<void> touch();  // before the first change
  Result<std::int64_t> run(Cursor& cursor);

  Result<List> find(const Ref& ref);
  Result<List> obtain(const Ref& ref);
  Result<std::vector<List>> matching(std::string_view resource, std::string_view parent_pattern);
  // The list of that name, or those that match when the parent is a pattern.
  Result<std::vector<List>> named(const Ref& ref);
  Result<void> save(const List& list);
  Result<Timestamp> newest(const List& list);  // also when the timestamps were removed
  Result<Object> write(List& list, Object object, bool only_new);
  Result<void> erase(List& list, std::int64_t n, std::size_t bytes);
  Result<void> dropTombstones(List& list, Cursor& cursor, std::uint64_t& total);

  static List read(Cursor& row);

  using Visit = std::function<bool(const ObjectView&, std::int64_t n)>;  // false: enough
  Result<void> scan(const List& list, const Plan& plan, const Visit& visit);
  // The matching objects of a plan in its order; tag: index into `lists`.
  Result<std::vector<Selection::Item>> select(const std::vector<List>& lists, const Plan& plan);

  Result<std::vector<std::string>> matchingTexts(std::string_view pattern, Sql from, Sql range);
  Result<std::int64_t> cacheBytes();
  Result<void> setCacheBytes(std::int64_t bytes);

  Connection& connection_;
  const Clock& clock_;
  bool in_savepoint_ = false;
  std::optional<Error> failure_;
};

}  // namespace godwit::store::sqlite
