#include <algorithm>
#include <unordered_map>

#include "base/random.h"
#include "kinto/exchange.h"
#include "kinto/render.h"
#include "kinto/resource_run.h"

namespace godwit::kinto {

Task<bool> ResourceRun::deleteObject() {
  const store::Object& existing = *op_.loaded.object;
  store::Timestamp requested =
      op_.delete_timestamp > existing.last_modified ? op_.delete_timestamp : 0;
  auto removed = co_await s_.remove(op_.ref, op_.id, requested);
  if (!removed.ok()) {
    if (removed.error().code == ErrorCode::kNotFound) co_return notFound();
    co_return failed(removed.error());
  }
  std::vector<std::string> uris = {op_.objectUri()};
  auto forgotten = co_await s_.removeAces(uris);
  if (!forgotten.ok()) co_return failed(forgotten.error());
  Event event = makeEvent(Action::kDelete, *removed);
  event.old = existing;
  if (!co_await followChange(s_, call_, std::move(event))) co_return false;
  addTimestamp(call_.answer, removed->last_modified);
  std::string& out = call_.answer.body;
  out.assign("{\"data\":");
  renderObject(out, *removed);
  out += '}';
  co_return true;
}

Task<bool> ResourceRun::deleteList() {
  Exchange& exchange = call_.exchange;
  if (!op_.list.token_nonce.empty()) {
    const auto& redeemed = exchange.redeemed;
    if (std::find(redeemed.begin(), redeemed.end(), op_.list.token_nonce) == redeemed.end()) {
      Problem problem("querystring", "", "_token was already used or has expired.");
      problem.has_name = false;
      op_.late = std::move(problem);
      co_return reportLate();
    }
    exchange.spent.push_back(op_.list.token_nonce);
  }
  std::uint64_t limit = op_.list.limit;
  store::Query query = op_.list.query;
  query.include_deleted = false;
  query.limit = limit + 1;
  auto before = co_await s_.list(op_.ref, query);
  if (!before.ok()) co_return failed(before.error());
  query.limit = limit;
  auto removed = co_await s_.removeAll(op_.ref, query, true);
  if (!removed.ok()) co_return failed(removed.error());
  const std::vector<store::DeletedObject>& deleted = *removed;

  std::vector<std::string> uris;
  for (const store::DeletedObject& d : deleted) {
    uris.push_back(op_.list_uri + "/" + d.tombstone.id);
  }
  if (!uris.empty()) {
    auto forgotten = co_await s_.removeAces(uris);
    if (!forgotten.ok()) co_return failed(forgotten.error());
  }
  std::unordered_map<std::string_view, const store::Object*> old_by_id;
  for (const store::Object& old : *before) old_by_id.emplace(old.id, &old);
  store::Timestamp latest = 0;
  for (const store::DeletedObject& d : deleted) {
    latest = std::max(latest, d.tombstone.last_modified);
    Event event = makeEvent(Action::kDelete, d.tombstone);
    if (auto old = old_by_id.find(d.tombstone.id); old != old_by_id.end()) event.old = *old->second;
    if (!co_await followChange(s_, call_, std::move(event))) co_return false;
  }
  addTimestamp(call_.answer, deleted.empty() ? op_.list_timestamp : latest);
  if (!deleted.empty() && before->size() > limit) {
    std::string nonce = "pagination-token-" + uuid4();
    exchange.issued.push_back(nonce);
    nextPage((*before)[limit - 1], op_.list.token_offset, nonce);
  }
  std::string& out = call_.answer.body;
  out.assign("{\"data\":[");
  for (std::size_t i = 0; i < deleted.size(); ++i) {
    if (i > 0) out += ',';
    renderObject(out, deleted[i].tombstone);
  }
  out += "]}";
  co_return true;
}

}  // namespace godwit::kinto
