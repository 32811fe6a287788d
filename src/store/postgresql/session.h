#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/backend.h"
#include "store/postgresql/convoy.h"
#include "store/postgresql/doubt.h"
#include "store/postgresql/pool.h"
#include "store/postgresql/query_sql.h"
#include "store/postgresql/ride.h"
#include "store/postgresql/sql.h"
#include "store/session.h"

namespace godwit::store::postgresql {

// statement_timeout in ms for a deadline: the next step above, so that sessions seldom have to
// change it. The exact deadline is held by the pool.
int statementTimeout(Deadline deadline);

// Permission and principal of every entry, each once.
std::vector<std::pair<std::string_view, std::string_view>> entriesOf(
    const Permissions& permissions);

// One attempt at one unit of work. Loop thread only.
//
// Every unit sees one state. One that reads a single time does so with everybody's reads. One that
// goes on reading is told to start again, in a snapshot of its own; scans have that from the start.
//
// A write takes its connection as late as it can: what it reads before its first change travels
// with everybody's reads, and the change is made on condition that what was read still holds (else
// the attempt fails as retryable). From then on it is a transaction that holds the list's lock.
// Statements without a result are sent and not waited for; their failure fails the commit. A unit
// that writes more than one object of a list knows, having its lock and its newest timestamp, which
// ones follow, and does not wait for those either. A unit that ends with its only write hands it to
// the convoy, which commits it.
class PgSession final : public Session {
 public:
  enum class Manner : std::uint8_t {
    kOptimistic,
    kSnapshot,     // reads: all from one snapshot, from the first on
    kPessimistic,  // locks a list before it reads from it: for units that lost races
  };

  // `lines`: share commits with other units of this loop; nullptr: do not.
  PgSession(Pool& pool, Lines* lines, Convoy& convoy, Doubts& doubts, Mode mode, Manner manner,
            Deadline deadline, std::uint64_t max_fetch)
      : pool_(pool),
        lines_(lines),
        convoy_(convoy),
        doubts_(doubts),
        mode_(mode),
        manner_(manner),
        deadline_(deadline),
        max_fetch_(max_fetch) {}

  // Ends the attempt; the session is of no use afterwards.
  Task<Result<void>> commit();
  Task<> rollback();

  // Its last write is durable already: commit() has nothing to do, rollback() comes too late.
  [[nodiscard]] bool committed() const { return committed_; }
  [[nodiscard]] bool metNeedsWrite() const { return met_needs_write_; }
  // The first failure; every later call answered the same.
  [[nodiscard]] const std::optional<Failure>& failure() const { return failure_; }
  // Set when commit() failed without an answer.
  [[nodiscard]] const std::optional<InDoubt>& inDoubt() const { return in_doubt_; }

  [[nodiscard]] bool writable() const override { return mode_ == Mode::kWrite; }
  Task<Result<Loaded>> load(const LoadSpec& spec) override;
  Task<Result<Timestamp>> timestamp(const Ref& ref) override;
  Task<Result<Object>> create(const Ref& ref, Object object) override;
  Task<Result<Object>> get(const Ref& ref, std::string_view id) override;
  Task<Result<Object>> update(const Ref& ref, Object object) override;
  Task<Result<Object>> put(Put put) override;
  Task<Result<Object>> remove(const Ref& ref, std::string_view id, Timestamp requested) override;
  Task<Result<std::vector<Object>>> list(const Ref& ref, const Query& query) override;
  Task<Result<std::uint64_t>> count(const Ref& ref, const Query& query) override;
  Task<Result<std::vector<DeletedObject>>> removeAll(const Ref& ref, const Query& query,
                                                     bool with_tombstones) override;
  Task<Result<std::uint64_t>> purgeTombstones(const Ref& ref,
                                              std::optional<Timestamp> before) override;
  Task<Result<std::uint64_t>> trimTombstones(std::string_view resource,
                                             std::uint64_t keep) override;
  Task<Result<std::uint64_t>> trimObjects(const Ref& ref, const Query& query,
                                          std::uint64_t keep) override;
  Task<Result<void>> removeTimestamps(std::string_view parent_pattern) override;
  Task<Result<Counts>> counts() override;
  Task<Result<Size>> size(const Ref& ref) override;
  Task<Result<std::vector<std::string>>> userPrincipals(std::string_view user) override;
  Task<Result<void>> addUserPrincipal(std::string_view user, std::string_view principal) override;
  Task<Result<void>> removeUserPrincipal(std::string_view user,
                                         std::string_view principal) override;
  Task<Result<void>> removePrincipal(std::string_view principal_pattern) override;
  Task<Result<std::vector<Ace>>> aces(const std::vector<std::string>& uris) override;
  Task<Result<void>> replaceAces(std::string_view uri, const Permissions& permissions) override;
  Task<Result<void>> addAce(const Ace& ace) override;
  Task<Result<void>> removeAce(const Ace& ace) override;
  Task<Result<void>> removeAces(const std::vector<std::string>& uri_patterns) override;
  Task<Result<std::vector<Ace>>> accessible(const std::vector<std::string>& principals,
                                            const std::vector<Bound>& bound,
                                            bool with_children) override;
  Task<Result<void>> flush() override;

 private:
  // What a read of this write saw, in microseconds since 1970; nullopt: no live object.
  struct Seen {
    Ref ref;
    std::string id;
    std::optional<std::int64_t> at;
  };

  // Fresh objects of one list with their entries, which will be sent together.
  struct Addition {
    Ref ref;
    std::vector<std::string> ids;
    std::vector<std::string> documents;
    std::vector<std::int64_t> at;  // ms
    std::vector<std::string> uris;
    std::vector<std::string> permissions;
    std::vector<std::string> principals;
    std::size_t bytes = 0;
  };
  // One object to be written or removed.
  struct Change {
    const Ref& ref;
    Object object;
    bool create = false;
    bool remove = false;
    bool fresh = false;
    bool last = false;
    std::string uri;
    Permissions permissions;
    explicit Change(const Ref& r) : ref(r) {}
  };

  // Runs a statement and waits. In the transaction when there is one, else: kLane with everybody's
  // reads, kOwn in a transaction, with a plan made for its values.
  enum class Where : std::uint8_t { kLane, kOwn };
  Task<Result<Reply>> ask(std::string_view sql, Params params, Where where);
  Task<Result<void>> beforeAsking(Where where);
  // Sends it, in the transaction or with everybody's reads, and waits.
  Task<Result<void>> answered(CommandPtr command);
  // Runs a statement in the transaction, which it begins if need be.
  Task<Result<Reply>> change(std::string_view sql, Params params);
  // The same without waiting for the answer.
  Task<Result<void>> send(std::string_view sql, Params params);
  Task<Result<void>> begin();
  Task<Result<void>> lease();
  Task<Result<void>> lock(const Ref& ref);
  Task<Result<void>> takeTurn(const Ref& ref);
  Task<Result<void>> rideOn();
  Task<> undoOwn();
  Task<Result<void>> commitAll();
  void settleRiders(bool committed, bool in_doubt, const Failure& why);
  void leaveLine();
  Task<Reply> answerOf(CommandPtr command);
  CommandPtr queue(std::string_view sql, Params params);
  void queue(const CommandPtr& command);
  Task<Result<void>> planForValues();

  void endRead();
  Error fail(const Failure& failure);
  Error needsWrite();
  std::optional<Error> blocked(bool changes);
  Failure firstDeferredFailure(const Command& command);
  void note(const Ref& ref, std::string_view id, std::optional<std::int64_t> at);
  Seen* seen(const Ref& ref, std::string_view id);
  [[nodiscard]] bool locked(const Ref& ref) const;
  Task<Result<void>> beforeRead(const Ref& ref);
  Task<Result<Object>> write(Change change);
  Task<Result<Object>> writeLast(Change& c, std::string_view sql, Params params);
  Result<Object> refused(const Change& change);
  Result<Object> written(Change& change, const Reply& reply);
  [[nodiscard]] std::optional<Timestamp> following(const Ref& ref);
  void noteNewest(const Ref& ref, Timestamp at, std::int64_t transaction);
  Ride::Newest* newest(const Ref& ref);
  Result<Object> add(Change& change, Timestamp at);
  void sendAddition();
  void witness(const Change& change, std::int64_t transaction, std::int64_t at);
  Task<Result<void>> keepTimestamps(const Ref& ref);
  // What earlier reads told may not hold any more: of this object, of these URIs, of all.
  void touch(const Ref& ref, std::string_view id);
  void touch(std::string_view uri);
  void touchAll();

  Pool& pool_;
  Lines* const lines_;
  Convoy& convoy_;
  Doubts& doubts_;
  const Mode mode_;
  const Manner manner_;
  const Deadline deadline_;
  const std::uint64_t max_fetch_;

  Lease lease_;
  bool in_transaction_ = false;
  bool changed_ = false;
  bool committed_ = false;
  bool plans_for_values_ = false;
  bool met_needs_write_ = false;
  std::optional<Failure> failure_;
  std::optional<InDoubt> witness_;
  std::optional<InDoubt> in_doubt_;
  std::vector<CommandPtr> deferred_;
  std::size_t unflushed_ = 0;
  bool read_outside_ = false;   // a read of this unit went with everybody's
  std::shared_ptr<Ride> ride_;  // of the first list that was locked
  Ref ride_list_;
  CommandPtr savepoint_;           // behind which this unit works, in a ride that others began
  bool newest_from_ride_ = false;  // of ride_list_: no write of this unit has been answered yet
  std::vector<Seen> seen_;
  std::vector<Ref> locked_;
  std::vector<std::pair<Ref, Ride::Newest>> newest_;  // of lists that are locked
  Addition addition_;
  std::optional<std::pair<LoadSpec, Loaded>> loaded_;  // the last load of a write
};

}  // namespace godwit::store::postgresql
