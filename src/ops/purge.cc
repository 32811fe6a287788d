#include "ops/purge.h"

#include "ops/uri.h"

namespace godwit::ops {
namespace {

using store::Session;
using store::Verdict;

constexpr std::uint64_t kUnit = 5000;  // entries of the history
constexpr std::chrono::minutes kPatience{10};

struct Purge {
  PurgeRequest request;
  std::uint64_t gone = 0;
  Result<void> outcome;
};

Task<Verdict> tombstones(Session& s, Purge* purge) {
  purge->outcome = Result<void>();
  store::Ref all{"", "*"};
  auto gone = co_await s.purgeTombstones(all, purge->request.before);
  if (!gone.ok()) {
    purge->outcome = gone.error();
    co_return Verdict::kRollback;
  }
  purge->gone = *gone;
  co_return purge->request.dry_run ? Verdict::kRollback : Verdict::kCommit;
}

store::Query older(const Purge& purge) {
  store::Query query;
  if (purge.request.before) {
    store::Filter f;
    f.field = "last_modified";
    f.op = store::Op::kLt;
    f.value = json::Value(*purge.request.before);
    query.filters.push_back(std::move(f));
  }
  return query;
}

Task<Verdict> countHistory(Session& s, Purge* purge) {
  store::Ref all{"history", "*"};
  store::Query query = older(*purge);
  auto n = co_await s.count(all, query);
  if (!n.ok()) purge->outcome = n.error();
  if (n.ok()) purge->gone = *n;
  co_return Verdict::kCommit;
}

Task<Verdict> someHistory(Session& s, Purge* purge) {
  purge->outcome = Result<void>();
  store::Ref all{"history", "*"};
  store::Query query = older(*purge);
  query.limit = kUnit;
  auto gone = co_await s.removeAll(all, query, false);
  if (!gone.ok()) {
    purge->outcome = gone.error();
    co_return Verdict::kRollback;
  }
  std::vector<std::string> uris;
  for (const store::DeletedObject& entry : *gone) {
    store::Ref list{"history", entry.parent};
    uris.push_back(objectUri(list, entry.tombstone.id));
  }
  auto cleared = co_await s.removeAces(uris);
  if (!cleared.ok()) {
    purge->outcome = cleared.error();
    co_return Verdict::kRollback;
  }
  purge->gone = gone->size();
  co_return Verdict::kCommit;
}

Result<void> run(store::BlockingStore& store, store::Mode mode, Purge& purge,
                 Task<Verdict> (*unit)(Session&, Purge*)) {
  auto done = store.run(
      mode, [&](Session& s) { return unit(s, &purge); }, Deadline::after(kPatience));
  if (!purge.outcome.ok()) return purge.outcome;
  if (!done.ok()) return std::move(done).error();
  return {};
}

}  // namespace

Result<std::uint64_t> purgeTombstones(store::BlockingStore& store, const PurgeRequest& request) {
  Purge purge;
  purge.request = request;
  GODWIT_TRY(run(store, store::Mode::kWrite, purge, tombstones));
  return purge.gone;
}

Result<std::uint64_t> purgeHistory(store::BlockingStore& store, const PurgeRequest& request) {
  Purge purge;
  purge.request = request;
  if (request.dry_run) {
    GODWIT_TRY(run(store, store::Mode::kScan, purge, countHistory));
    return purge.gone;
  }
  std::uint64_t total = 0;
  do {
    GODWIT_TRY(run(store, store::Mode::kWrite, purge, someHistory));
    total += purge.gone;
  } while (purge.gone == kUnit);
  return total;
}

}  // namespace godwit::ops
