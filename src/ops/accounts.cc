#include "ops/accounts.h"

#include <algorithm>

#include "auth/account_policy.h"
#include "auth/password.h"
#include "json/value.h"

namespace godwit::ops {
namespace {

using store::Session;
using store::Verdict;

store::Ref refOf(const std::string& name) { return {"account", name}; }

// Runs a unit whose own error counts more than that it was rolled back.
Result<void> run(store::BlockingStore& store, store::Mode mode, Result<void>& outcome,
                 const store::Work& work) {
  auto done = store.run(mode, work);
  if (!outcome.ok()) return outcome;
  if (!done.ok()) return std::move(done).error();
  return {};
}

struct Change {
  std::string name;
  std::string hash;
  bool fresh = false;
  Result<void> outcome;
};

Task<Verdict> write(Session& s, Change* change) {
  change->outcome = Result<void>();
  store::Ref ref = refOf(change->name);
  auto before = co_await s.get(ref, change->name);
  bool there = before.ok();
  if (!there && before.error().code != ErrorCode::kNotFound) {
    change->outcome = before.error();
    co_return Verdict::kRollback;
  }
  if (there == change->fresh) {
    change->outcome = there ? Error(ErrorCode::kConflict, "there is such an account already")
                            : Error(ErrorCode::kNotFound, "there is no such account");
    co_return Verdict::kRollback;
  }
  json::Value data = json::Value::object();
  if (there) {
    auto old = json::parse(before->data);
    if (old.ok() && old->isObject()) data = std::move(*old);
  }
  data.asObject().set("password", change->hash);
  store::Object object;
  object.id = change->name;
  object.data = json::dump(data);
  auto updated = co_await s.update(ref, std::move(object));
  if (!updated.ok()) {
    change->outcome = updated.error();
    co_return Verdict::kRollback;
  }
  if (!change->fresh) co_return Verdict::kCommit;
  store::Ace ace{"/accounts/" + change->name, "write", "account:" + change->name};
  auto added = co_await s.addAce(ace);
  if (!added.ok()) {
    change->outcome = added.error();
    co_return Verdict::kRollback;
  }
  co_return Verdict::kCommit;
}

Task<Verdict> remove(Session& s, Change* change) {
  change->outcome = Result<void>();
  auto gone = co_await s.remove(refOf(change->name), change->name, 0);
  if (!gone.ok()) {
    bool missing = gone.error().code == ErrorCode::kNotFound;
    change->outcome =
        missing ? Error(ErrorCode::kNotFound, "there is no such account") : gone.error();
    co_return Verdict::kRollback;
  }
  std::vector<std::string> uris;
  uris.push_back("/accounts/" + change->name);
  auto cleared = co_await s.removeAces(uris);
  if (!cleared.ok()) {
    change->outcome = cleared.error();
    co_return Verdict::kRollback;
  }
  co_return Verdict::kCommit;
}

Result<void> setPassword(store::BlockingStore& store, const std::string& name,
                         const std::string& password, bool fresh) {
  auto hash = auth::hashPassword(password);
  if (!hash.ok()) return hash.error();
  Change change;
  change.name = name;
  change.hash = std::move(*hash);
  change.fresh = fresh;
  return run(store, store::Mode::kWrite, change.outcome,
             [&](Session& s) { return write(s, &change); });
}

Result<void> forget(store::BlockingStore& store, const std::string& name,
                    const std::string& secret) {
  return store.forget(auth::AccountPolicy::cacheKey(secret, name));
}

struct Found {
  std::vector<Account> accounts;
  Result<void> outcome;
};

Task<Verdict> list(Session& s, Found* found) {
  found->accounts.clear();
  store::Ref ref{"account", "*"};
  store::Query query;
  auto objects = co_await s.list(ref, query);
  if (!objects.ok()) {
    found->outcome = objects.error();
    co_return Verdict::kRollback;
  }
  for (const store::Object& o : *objects) found->accounts.push_back({o.id, o.last_modified});
  co_return Verdict::kCommit;
}

}  // namespace

Result<void> addAccount(store::BlockingStore& store, const std::string& name,
                        const std::string& password) {
  return setPassword(store, name, password, true);
}

Result<void> changePassword(store::BlockingStore& store, const std::string& name,
                            const std::string& password, const std::string& secret) {
  GODWIT_TRY(setPassword(store, name, password, false));
  return forget(store, name, secret);
}

Result<std::vector<Account>> listAccounts(store::BlockingStore& store) {
  Found found;
  GODWIT_TRY(
      run(store, store::Mode::kScan, found.outcome, [&](Session& s) { return list(s, &found); }));
  std::sort(found.accounts.begin(), found.accounts.end(),
            [](const Account& a, const Account& b) { return a.name < b.name; });
  return std::move(found.accounts);
}

Result<bool> hasAccount(store::BlockingStore& store, const std::string& name) {
  auto all = listAccounts(store);
  if (!all.ok()) return std::move(all).error();
  return std::any_of(all->begin(), all->end(), [&](const Account& a) { return a.name == name; });
}

Result<void> removeAccount(store::BlockingStore& store, const std::string& name,
                           const std::string& secret) {
  Change change;
  change.name = name;
  GODWIT_TRY(run(store, store::Mode::kWrite, change.outcome,
                 [&](Session& s) { return remove(s, &change); }));
  return forget(store, name, secret);
}

}  // namespace godwit::ops
