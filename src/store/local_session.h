#pragma once

#include "store/backend.h"
#include "store/session.h"

namespace godwit::store {

// Storage that answers at once: Session's methods as plain functions. One thread at a time.
class LocalStore {
 public:
  virtual ~LocalStore() = default;
  virtual Result<Loaded> load(const LoadSpec& spec) = 0;
  // may_create false: kNeedsWrite when the list has none yet.
  virtual Result<Timestamp> timestamp(const Ref& ref, bool may_create) = 0;
  virtual Result<Object> create(const Ref& ref, Object object) = 0;
  virtual Result<Object> get(const Ref& ref, std::string_view id) = 0;
  virtual Result<Object> update(const Ref& ref, Object object) = 0;
  virtual Result<Object> remove(const Ref& ref, std::string_view id, Timestamp requested) = 0;
  virtual Result<std::vector<Object>> list(const Ref& ref, const Query& query) = 0;
  virtual Result<std::uint64_t> count(const Ref& ref, const Query& query) = 0;
  virtual Result<std::vector<DeletedObject>> removeAll(const Ref& ref, const Query& query,
                                                       bool with_tombstones) = 0;
  virtual Result<std::uint64_t> purgeTombstones(const Ref& ref,
                                                std::optional<Timestamp> before) = 0;
  virtual Result<std::uint64_t> trimTombstones(std::string_view resource, std::uint64_t keep) = 0;
  virtual Result<std::uint64_t> trimObjects(const Ref& ref, const Query& query,
                                            std::uint64_t keep) = 0;
  virtual Result<void> removeTimestamps(std::string_view parent_pattern) = 0;
  virtual Result<Session::Counts> counts() = 0;
  virtual Result<Session::Size> size(const Ref& ref) = 0;
  virtual Result<std::vector<std::string>> userPrincipals(std::string_view user) = 0;
  virtual Result<void> addUserPrincipal(std::string_view user, std::string_view principal) = 0;
  virtual Result<void> removeUserPrincipal(std::string_view user, std::string_view principal) = 0;
  virtual Result<void> removePrincipal(std::string_view principal_pattern) = 0;
  virtual Result<std::vector<Ace>> aces(const std::vector<std::string>& uris) = 0;
  virtual Result<void> replaceAces(std::string_view uri, const Permissions& permissions) = 0;
  virtual Result<void> addAce(const Ace& ace) = 0;
  virtual Result<void> removeAce(const Ace& ace) = 0;
  virtual Result<void> removeAces(const std::vector<std::string>& uri_patterns) = 0;
  virtual Result<std::vector<Ace>> accessible(const std::vector<std::string>& principals,
                                              const std::vector<Session::Bound>& bound,
                                              bool with_children) = 0;
  virtual Result<void> flush() = 0;
};

// A Session over a LocalStore: tasks that never wait. Keeps read sessions from writing.
class LocalSession final : public Session {
 public:
  LocalSession(LocalStore& store, bool writable) : store_(store), writable_(writable) {}

  [[nodiscard]] bool writable() const override { return writable_; }
  [[nodiscard]] bool metNeedsWrite() const { return met_needs_write_; }

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
  Error needsWrite();
  template <class R>
  R noted(R result);

  LocalStore& store_;
  bool writable_;
  bool met_needs_write_ = false;
};

// Runs `work` to its end on this thread. A work that waits for something else, or throws, is
// answered kInternal; one that met kNeedsWrite and rolls back, kNeedsWrite.
Result<Verdict> drive(const Work& work, LocalSession& session);

}  // namespace godwit::store
