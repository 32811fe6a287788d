#include "store/local_session.h"

#include <exception>

namespace godwit::store {

Error LocalSession::needsWrite() {
  met_needs_write_ = true;
  return {ErrorCode::kNeedsWrite, "this changes something"};
}

template <class R>
R LocalSession::noted(R result) {
  if (!result.ok() && result.error().code == ErrorCode::kNeedsWrite) met_needs_write_ = true;
  return result;
}

Task<Result<Loaded>> LocalSession::load(const LoadSpec& spec) {
  auto loaded = store_.load(spec);
  if (loaded.ok() && spec.above) {
    auto above = store_.get(*spec.above, spec.above_id);
    if (above.ok()) {
      loaded->above = std::move(*above);
    } else if (above.error().code != ErrorCode::kNotFound) {
      co_return std::move(above).error();
    }
  }
  co_return loaded;
}

Task<Result<Timestamp>> LocalSession::timestamp(const Ref& ref) {
  co_return noted(store_.timestamp(ref, writable_));
}

Task<Result<Object>> LocalSession::create(const Ref& ref, Object object) {
  if (!writable_) co_return needsWrite();
  co_return store_.create(ref, std::move(object));
}

Task<Result<Object>> LocalSession::get(const Ref& ref, std::string_view id) {
  co_return store_.get(ref, id);
}

Task<Result<Object>> LocalSession::update(const Ref& ref, Object object) {
  if (!writable_) co_return needsWrite();
  co_return store_.update(ref, std::move(object));
}

Task<Result<Object>> LocalSession::remove(const Ref& ref, std::string_view id,
                                          Timestamp requested) {
  if (!writable_) co_return needsWrite();
  co_return store_.remove(ref, id, requested);
}

Task<Result<std::vector<Object>>> LocalSession::list(const Ref& ref, const Query& query) {
  co_return store_.list(ref, query);
}

Task<Result<std::uint64_t>> LocalSession::count(const Ref& ref, const Query& query) {
  co_return store_.count(ref, query);
}

Task<Result<std::vector<DeletedObject>>> LocalSession::removeAll(const Ref& ref, const Query& query,
                                                                 bool with_tombstones) {
  if (!writable_) co_return needsWrite();
  co_return store_.removeAll(ref, query, with_tombstones);
}

Task<Result<std::uint64_t>> LocalSession::purgeTombstones(const Ref& ref,
                                                          std::optional<Timestamp> before) {
  if (!writable_) co_return needsWrite();
  co_return store_.purgeTombstones(ref, before);
}

Task<Result<std::uint64_t>> LocalSession::trimTombstones(std::string_view resource,
                                                         std::uint64_t keep) {
  if (!writable_) co_return needsWrite();
  co_return store_.trimTombstones(resource, keep);
}

Task<Result<std::uint64_t>> LocalSession::trimObjects(const Ref& ref, const Query& query,
                                                      std::uint64_t keep) {
  if (!writable_) co_return needsWrite();
  co_return store_.trimObjects(ref, query, keep);
}

Task<Result<void>> LocalSession::removeTimestamps(std::string_view parent_pattern) {
  if (!writable_) co_return needsWrite();
  co_return store_.removeTimestamps(parent_pattern);
}

Task<Result<Session::Counts>> LocalSession::counts() { co_return store_.counts(); }

Task<Result<Session::Size>> LocalSession::size(const Ref& ref) { co_return store_.size(ref); }

Task<Result<std::vector<std::string>>> LocalSession::userPrincipals(std::string_view user) {
  co_return store_.userPrincipals(user);
}

Task<Result<void>> LocalSession::addUserPrincipal(std::string_view user,
                                                  std::string_view principal) {
  if (!writable_) co_return needsWrite();
  co_return store_.addUserPrincipal(user, principal);
}

Task<Result<void>> LocalSession::removeUserPrincipal(std::string_view user,
                                                     std::string_view principal) {
  if (!writable_) co_return needsWrite();
  co_return store_.removeUserPrincipal(user, principal);
}

Task<Result<void>> LocalSession::removePrincipal(std::string_view principal_pattern) {
  if (!writable_) co_return needsWrite();
  co_return store_.removePrincipal(principal_pattern);
}

Task<Result<std::vector<Ace>>> LocalSession::aces(const std::vector<std::string>& uris) {
  co_return store_.aces(uris);
}

Task<Result<void>> LocalSession::replaceAces(std::string_view uri, const Permissions& permissions) {
  if (!writable_) co_return needsWrite();
  co_return store_.replaceAces(uri, permissions);
}

Task<Result<void>> LocalSession::addAce(const Ace& ace) {
  if (!writable_) co_return needsWrite();
  co_return store_.addAce(ace);
}

Task<Result<void>> LocalSession::removeAce(const Ace& ace) {
  if (!writable_) co_return needsWrite();
  co_return store_.removeAce(ace);
}

Task<Result<void>> LocalSession::removeAces(const std::vector<std::string>& uri_patterns) {
  if (!writable_) co_return needsWrite();
  co_return store_.removeAces(uri_patterns);
}

Task<Result<std::vector<Ace>>> LocalSession::accessible(const std::vector<std::string>& principals,
                                                        const std::vector<Bound>& bound,
                                                        bool with_children) {
  co_return store_.accessible(principals, bound, with_children);
}

Task<Result<void>> LocalSession::flush() {
  if (!writable_) co_return needsWrite();
  co_return store_.flush();
}

Result<Verdict> drive(const Work& work, LocalSession& session) {
  try {
    Task<Verdict> task = work(session);
    if (!task.await_ready()) {
      return {ErrorCode::kInternal, "internal error", "a unit of work waited outside its session"};
    }
    Verdict verdict = task.await_resume();
    if (verdict == Verdict::kRollback && session.metNeedsWrite()) {
      return {ErrorCode::kNeedsWrite, "this changes something"};
    }
    return verdict;
  } catch (const std::exception& e) {
    return {ErrorCode::kInternal, "internal error", e.what()};
  } catch (...) {
    return {ErrorCode::kInternal, "internal error", "a unit of work threw"};
  }
}

}  // namespace godwit::store
