// PgSession: what concerns whole lists.
#include <algorithm>

#include "json/text.h"
#include "store/glob.h"
#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

namespace {

// Appends the filters of a query and its end: the selection all list statements share.
Result<void> appendSelection(SqlBuilder& out, const Query& query) {
  GODWIT_TRY(appendFilters(out, query.filters));
  return appendPageRules(out, query.page_rules);
}

}  // namespace

Task<Result<std::vector<Object>>> PgSession::list(const Ref& ref, const Query& query) {
  if (auto e = blocked(false)) co_return std::move(*e);
  SqlBuilder q;
  q.raw("SELECT id, data, last_modified, deleted FROM objects WHERE ");
  appendList(q, ref);
  if (!query.include_deleted) q.raw(" AND NOT deleted");
  auto selected = appendSelection(q, query);
  if (!selected.ok()) co_return std::move(selected).error();
  appendSort(q, query.sort);
  // One more than the most that is served: callers ask for it to know whether there is a next page.
  std::uint64_t limit = std::min(query.limit.value_or(max_fetch_ + 1), max_fetch_ + 1);
  q.raw(" LIMIT ").number(static_cast<std::int64_t>(limit));
  auto reply = co_await ask(q.sql(), std::move(q.params()), Where::kOwn);
  if (!reply.ok()) co_return std::move(reply).error();
  std::vector<Object> out;
  out.reserve(static_cast<std::size_t>(reply->rows()));
  for (int i = 0; i < reply->rows(); ++i) {
    Object& o = out.emplace_back();
    o.id = reply->text(i, 0);
    o.last_modified = reply->millis(i, 2);
    o.deleted = reply->boolean(i, 3);
    if (!o.deleted) {
      o.data.clear();
      json::canonicalTo(o.data, reply->jsonb(i, 1));
    }
  }
  co_return out;
}

Task<Result<std::uint64_t>> PgSession::count(const Ref& ref, const Query& query) {
  if (auto e = blocked(false)) co_return std::move(*e);
  SqlBuilder q;
  q.raw("SELECT count(*) FROM objects WHERE ");
  appendList(q, ref);
  q.raw(" AND NOT deleted");
  auto selected = appendFilters(q, query.filters);
  if (!selected.ok()) co_return std::move(selected).error();
  auto reply = co_await ask(q.sql(), std::move(q.params()), Where::kOwn);
  if (!reply.ok()) co_return std::move(reply).error();
  co_return static_cast<std::uint64_t>(reply->int8(0, 0));
}

// Objects that go without trace take the list's timestamp with them, unless it is written down.
Task<Result<void>> PgSession::keepTimestamps(const Ref& ref) {
  SqlBuilder q;
  q.raw("INSERT INTO timestamps AS t (parent_id, resource_name, last_modified) ");
  if (!isGlob(ref.parent) && !ref.resource.empty()) {
    q.raw("SELECT parent_id, resource_name, last_modified FROM objects WHERE ");
    appendList(q, ref);
    q.raw(" ORDER BY last_modified DESC LIMIT 1");
  } else {
    q.raw("SELECT parent_id, resource_name, max(last_modified) FROM objects WHERE ");
    appendList(q, ref);
    q.raw(" GROUP BY parent_id, resource_name");
  }
  q.raw(
      " ON CONFLICT (parent_id, resource_name) DO UPDATE"
      " SET last_modified = EXCLUDED.last_modified WHERE t.last_modified < EXCLUDED.last_modified");
  q.params().keep();
  auto sent = co_await send(q.sql(), std::move(q.params()));
  co_return sent;
}

Task<Result<std::vector<DeletedObject>>> PgSession::removeAll(const Ref& ref, const Query& query,
                                                              bool with_tombstones) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (!isGlob(ref.parent) && !ref.resource.empty()) {
    auto ready = co_await lock(ref);
    if (!ready.ok()) co_return std::move(ready).error();
  }
  if (!with_tombstones) {
    auto kept = co_await keepTimestamps(ref);
    if (!kept.ok()) co_return std::move(kept).error();
  }
  SqlBuilder q;
  q.raw("WITH chosen AS (SELECT id, parent_id, resource_name, row_number() OVER (");
  appendSort(q, query.sort);
  q.raw(") AS n FROM objects WHERE ");
  appendList(q, ref);
  q.raw(" AND NOT deleted");
  auto selected = appendSelection(q, query);
  if (!selected.ok()) co_return std::move(selected).error();
  q.raw(" ORDER BY n");
  if (query.limit) q.raw(" LIMIT ").number(static_cast<std::int64_t>(*query.limit));
  q.raw("), gone AS (");
  if (with_tombstones) {
    q.raw(
        "UPDATE objects o SET deleted = TRUE, data = '{\"deleted\": true}'::jsonb,"
        " last_modified = NULL FROM chosen c");
  } else {
    q.raw("DELETE FROM objects o USING chosen c");
  }
  q.raw(
      " WHERE o.id = c.id AND o.parent_id = c.parent_id AND o.resource_name = c.resource_name"
      " AND NOT o.deleted RETURNING o.id, o.parent_id, o.last_modified, c.n)"
      " SELECT id, parent_id, last_modified, txid_current() FROM gone ORDER BY n");
  auto planned = co_await planForValues();
  if (!planned.ok()) co_return std::move(planned).error();
  auto reply = co_await change(q.sql(), std::move(q.params()));
  if (!reply.ok()) co_return std::move(reply).error();
  touchAll();
  std::vector<DeletedObject> out;
  out.reserve(static_cast<std::size_t>(reply->rows()));
  for (int i = 0; i < reply->rows(); ++i) {
    DeletedObject& d = out.emplace_back();
    d.parent = reply->text(i, 1);
    d.tombstone.id = reply->text(i, 0);
    d.tombstone.last_modified = reply->millis(i, 2);
    d.tombstone.deleted = true;
  }
  if (!out.empty() && !witness_) {
    witness_ = InDoubt();
    witness_->transaction = reply->int8(0, 3);
    witness_->ref.resource = ref.resource;
    witness_->ref.parent = out.front().parent;
    witness_->id = out.front().tombstone.id;
    witness_->at = reply->micros(0, 2);
  }
  co_return out;
}

Task<Result<std::uint64_t>> PgSession::purgeTombstones(const Ref& ref,
                                                       std::optional<Timestamp> before) {
  if (auto e = blocked(true)) co_return std::move(*e);
  touchAll();
  auto kept = co_await keepTimestamps(ref);
  if (!kept.ok()) co_return std::move(kept).error();
  SqlBuilder q;
  q.raw("DELETE FROM objects WHERE ");
  appendList(q, ref);
  q.raw(" AND deleted");
  if (before) {
    q.raw(" AND last_modified < (TIMESTAMP 'epoch' + ").number(*before);
    q.raw(" * INTERVAL '1 millisecond')");
  }
  auto planned = co_await planForValues();
  if (!planned.ok()) co_return std::move(planned).error();
  auto reply = co_await change(q.sql(), std::move(q.params()));
  if (!reply.ok()) co_return std::move(reply).error();
  co_return reply->affected();
}

Task<Result<std::uint64_t>> PgSession::trimTombstones(std::string_view resource,
                                                      std::uint64_t keep) {
  if (auto e = blocked(true)) co_return std::move(*e);
  touchAll();
  Ref every;
  every.resource = resource;
  every.parent = "*";
  if (keep == 0) {
    auto kept = co_await keepTimestamps(every);
    if (!kept.ok()) co_return std::move(kept).error();
  }
  SqlBuilder q;
  q.raw(
      "DELETE FROM objects o USING (SELECT id, parent_id, resource_name, row_number() OVER"
      " (PARTITION BY parent_id, resource_name ORDER BY last_modified DESC) AS n"
      " FROM objects WHERE deleted");
  if (!resource.empty()) q.raw(" AND resource_name = ").text(resource);
  q.raw(
      ") AS r WHERE o.id = r.id AND o.parent_id = r.parent_id"
      " AND o.resource_name = r.resource_name AND o.deleted AND r.n > ");
  q.number(static_cast<std::int64_t>(keep));
  auto planned = co_await planForValues();
  if (!planned.ok()) co_return std::move(planned).error();
  auto reply = co_await change(q.sql(), std::move(q.params()));
  if (!reply.ok()) co_return std::move(reply).error();
  co_return reply->affected();
}

Task<Result<std::uint64_t>> PgSession::trimObjects(const Ref& ref, const Query& query,
                                                   std::uint64_t keep) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (keep == 0) {
    auto kept = co_await keepTimestamps(ref);
    if (!kept.ok()) co_return std::move(kept).error();
  }
  SqlBuilder q;
  q.raw("DELETE FROM objects o USING (SELECT id, parent_id, resource_name FROM objects WHERE ");
  appendList(q, ref);
  q.raw(" AND NOT deleted");
  auto selected = appendFilters(q, query.filters);
  if (!selected.ok()) co_return std::move(selected).error();
  q.raw(" ORDER BY last_modified DESC OFFSET ").number(static_cast<std::int64_t>(keep));
  q.raw(
      ") AS r WHERE o.id = r.id AND o.parent_id = r.parent_id"
      " AND o.resource_name = r.resource_name AND NOT o.deleted");
  auto planned = co_await planForValues();
  if (!planned.ok()) co_return std::move(planned).error();
  auto reply = co_await change(q.sql(), std::move(q.params()));
  if (!reply.ok()) co_return std::move(reply).error();
  touchAll();
  co_return reply->affected();
}

Task<Result<void>> PgSession::removeTimestamps(std::string_view parent_pattern) {
  if (auto e = blocked(true)) co_return std::move(*e);
  touchAll();
  Ref every;
  every.parent = parent_pattern;
  // One that the clock has not passed yet would come again: it goes on from there instead.
  SqlBuilder q;
  q.raw(
      "WITH ahead AS (UPDATE timestamps SET last_modified = last_modified +"
      " INTERVAL '1 millisecond' WHERE ");
  appendList(q, every);
  q.raw(
      " AND as_epoch(last_modified) >= as_epoch(statement_timestamp()::TIMESTAMP))"
      " DELETE FROM timestamps WHERE ");
  appendList(q, every);
  q.raw(" AND as_epoch(last_modified) < as_epoch(statement_timestamp()::TIMESTAMP)");
  q.params().keep();
  auto sent = co_await send(q.sql(), std::move(q.params()));
  co_return sent;
}

Task<Result<Session::Counts>> PgSession::counts() {
  if (auto e = blocked(false)) co_return std::move(*e);
  auto reply = co_await ask(sql::kCounts, Params(), Where::kOwn);
  if (!reply.ok()) co_return std::move(reply).error();
  Counts out;
  for (int i = 0; i < reply->rows(); ++i) {
    auto& into = reply->boolean(i, 1) ? out.tombstones : out.objects;
    into[std::string(reply->text(i, 0))] = static_cast<std::uint64_t>(reply->int8(i, 2));
  }
  co_return out;
}

Task<Result<Session::Size>> PgSession::size(const Ref& ref) {
  if (auto e = blocked(false)) co_return std::move(*e);
  SqlBuilder q;
  q.raw("SELECT count(*), COALESCE(sum(octet_length(data::text)), 0)::bigint FROM objects WHERE ");
  appendList(q, ref);
  q.raw(" AND NOT deleted");
  auto reply = co_await ask(q.sql(), std::move(q.params()), Where::kOwn);
  if (!reply.ok()) co_return std::move(reply).error();
  Size out;
  out.items = static_cast<std::uint64_t>(reply->int8(0, 0));
  out.bytes = static_cast<std::uint64_t>(reply->int8(0, 1));
  co_return out;
}

Task<Result<void>> PgSession::flush() {
  if (auto e = blocked(true)) co_return std::move(*e);
  for (std::string_view statement :
       {"DELETE FROM objects", "DELETE FROM timestamps", "DELETE FROM user_principals",
        "DELETE FROM access_control_entries"}) {
    auto sent = co_await send(statement, Params());
    if (!sent.ok()) co_return sent;
  }
  touchAll();
  co_return Result<void>();
}

}  // namespace godwit::store::postgresql
