#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/backend.h"
#include "store/postgresql/pool.h"
#include "store/postgresql/query_sql.h"
#include "store/postgresql/ride.h"
#include "store/postgresql/sql.h"
#include "store/session.h"

namespace godwit::store::postgresql {

// A transaction whose COMMIT was sent and not answered: how to find out what became of it.
struct InDoubt {
  std::int64_t transaction = 0;
  std::int64_t backend_pid = 0;
  Ref ref;  // an object it wrote
  std::string id;
  std::int64_t at = 0;  // its timestamp, in microseconds
};

// One attempt at one unit of work. Loop thread only.
//
// Every unit sees one state. One that reads a single time does so with everybody's reads. One that
// goes on reading is told to start again, in a snapshot of its own; scans have that from the start.
//
// A write takes its connection as late as it can: what it reads before its first change travels
// with everybody's reads, and the change is made on condition that what was read still holds (else
// the attempt fails as retryable). From then on it is a transaction that holds the list's lock.
// Statements without a result are sent and not waited for; their failure fails the commit.
class PgSession final : public Session {
 public:
  enum class Manner : std::uint8_t {
    kOptimistic,
    kSnapshot,     // reads: all from one snapshot, from the first on
    kPessimistic,  // locks a list before it reads from it: for units that lost races
  };

  // `lines`: share commits with other units of this loop; nullptr: do not.
  PgSession(Pool& pool, Lines* lines, Mode mode, Manner manner, Deadline deadline,
            std::uint64_t max_fetch)
      : pool_(pool),
        lines_(lines),
        mode_(mode),
        manner_(manner),
        deadline_(deadline),
        max_fetch_(max_fetch) {}

  // Ends the attempt; the session is of no use afterwards.
  Task<Result<void>> commit();
  Task<> rollback();

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

  // Runs a statement and waits. On the transaction when there is one, else: kLane with everybody's
  // reads, kOwn on a leased connection.
  enum class Where : std::uint8_t { kLane, kOwn };
  Task<Result<Reply>> ask(std::string_view sql, Params params, Where where);
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
  CommandPtr put(std::string_view sql, Params params);

  void endRead();
  Error fail(const Failure& failure);
  Error needsWrite();
  std::optional<Error> blocked(bool changes);
  Failure firstDeferredFailure(const Command& command);
  void note(const Ref& ref, std::string_view id, std::optional<std::int64_t> at);
  Seen* seen(const Ref& ref, std::string_view id);
  [[nodiscard]] bool locked(const Ref& ref) const;
  Task<Result<void>> beforeRead(const Ref& ref);
  Task<Result<Object>> write(const Ref& ref, Object object, bool create);
  Task<Result<void>> keepTimestamps(const Ref& ref);
  Result<Object> written(const Ref& ref, Object object, const Reply& reply);

  Pool& pool_;
  Lines* const lines_;
  const Mode mode_;
  const Manner manner_;
  const Deadline deadline_;
  const std::uint64_t max_fetch_;

  Lease lease_;
  bool in_transaction_ = false;
  bool changed_ = false;
  bool met_needs_write_ = false;
  std::optional<Failure> failure_;
  std::optional<InDoubt> witness_;
  std::optional<InDoubt> in_doubt_;
  std::vector<CommandPtr> deferred_;
  std::size_t unflushed_ = 0;
  bool read_outside_ = false;   // a read of this unit went with everybody's
  std::shared_ptr<Ride> ride_;  // of the first list that was locked
  Ref ride_list_;
  std::vector<Seen> seen_;
  std::vector<Ref> locked_;
};

}  // namespace godwit::store::postgresql
