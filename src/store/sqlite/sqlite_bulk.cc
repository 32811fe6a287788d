#include <algorithm>

#include "store/sqlite/sqlite_store.h"

// Deleting and counting many objects.
namespace godwit::store::sqlite {
namespace {

Object tombstoneOf(std::string_view id, Timestamp t) {
  Object o;
  o.id = id;
  o.last_modified = t;
  o.deleted = true;
  return o;
}

}  // namespace

Result<void> SqliteStore::erase(List& list, std::int64_t n, std::size_t bytes) {
  Cursor c(connection_, Sql::kObjectDelete);
  c.integer(1, n);
  GODWIT_TRY(run(c));
  --list.live;
  list.bytes -= static_cast<std::int64_t>(bytes);
  return {};
}

Result<std::vector<DeletedObject>> SqliteStore::removeAll(const Ref& ref, const Query& query,
                                                          bool with_tombstones) {
  Query live = query;
  live.include_deleted = false;
  auto plan = Plan::make(live);
  if (!plan.ok()) return plan.error();
  GODWIT_TRY(touch());
  auto lists = matching(ref.resource, ref.parent);
  if (!lists.ok()) return lists.error();
  auto items = select(*lists, *plan);
  if (!items.ok()) return items.error();
  std::vector<DeletedObject> out;
  out.reserve(items->size());
  std::vector<bool> dirty(lists->size());
  for (auto& item : *items) {
    auto at = static_cast<std::size_t>(item.tag);
    List& list = (*lists)[at];
    DeletedObject gone;
    gone.parent = list.parent;
    if (with_tombstones) {
      auto written = write(list, tombstoneOf(item.object.id, 0), false);
      if (!written.ok()) return written.error();
      gone.tombstone = std::move(*written);
    } else {
      std::int64_t n = 0;
      {
        Cursor c(connection_, Sql::kObjectFind);
        auto row = c.integer(1, list.id).text(2, item.object.id).step();
        if (!row.ok()) return failed(row.error());
        n = c.integerAt(0);
      }
      GODWIT_TRY(erase(list, n, item.object.data.size()));
      gone.tombstone = tombstoneOf(item.object.id, item.object.last_modified);
      dirty[at] = true;
    }
    out.push_back(std::move(gone));
  }
  for (std::size_t i = 0; i < lists->size(); ++i) {
    if (dirty[i]) GODWIT_TRY(save((*lists)[i]));
  }
  return out;
}

Result<void> SqliteStore::dropTombstones(List& list, Cursor& cursor, std::uint64_t& total) {
  auto n = run(cursor);
  if (!n.ok()) return n.error();
  if (*n == 0) return {};
  total += static_cast<std::uint64_t>(*n);
  list.tombstones -= *n;
  return save(list);
}

Result<std::uint64_t> SqliteStore::purgeTombstones(const Ref& ref,
                                                   std::optional<Timestamp> before) {
  GODWIT_TRY(touch());
  auto lists = matching(ref.resource, ref.parent);
  if (!lists.ok()) return lists.error();
  std::uint64_t total = 0;
  for (List& list : *lists) {
    if (list.tombstones == 0) continue;
    Cursor c(connection_, before ? Sql::kTombstonesBefore : Sql::kTombstonesDelete);
    c.integer(1, list.id);
    if (before) c.integer(2, *before);
    GODWIT_TRY(dropTombstones(list, c, total));
  }
  return total;
}

Result<std::uint64_t> SqliteStore::trimTombstones(std::string_view resource, std::uint64_t keep) {
  GODWIT_TRY(touch());
  auto lists = matching(resource, "*");
  if (!lists.ok()) return lists.error();
  std::uint64_t total = 0;
  for (List& list : *lists) {
    if (static_cast<std::uint64_t>(list.tombstones) <= keep) continue;
    Cursor c(connection_, Sql::kTombstonesTrim);
    c.integer(1, list.id).integer(2, static_cast<std::int64_t>(keep));
    GODWIT_TRY(dropTombstones(list, c, total));
  }
  return total;
}

Result<std::uint64_t> SqliteStore::trimObjects(const Ref& ref, const Query& query,
                                               std::uint64_t keep) {
  Query newest_first;
  newest_first.filters = query.filters;
  auto plan = Plan::make(newest_first);
  if (!plan.ok()) return plan.error();
  GODWIT_TRY(touch());
  auto lists = matching(ref.resource, ref.parent);
  if (!lists.ok()) return lists.error();
  // Newest over all lists, by (time, n); the data itself is not kept.
  struct Row {
    Timestamp time;
    std::size_t list;
    std::int64_t n;
    std::size_t bytes;
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < lists->size(); ++i) {
    GODWIT_TRY(scan((*lists)[i], *plan, [&](const ObjectView& v, std::int64_t n) {
      rows.push_back({v.last_modified, i, n, v.data.size()});
      return true;
    }));
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.time > b.time; });
  std::uint64_t total = 0;
  for (std::size_t i = keep; i < rows.size(); ++i, ++total) {
    GODWIT_TRY(erase((*lists)[rows[i].list], rows[i].n, rows[i].bytes));
  }
  for (const List& list : *lists) {
    if (total != 0) GODWIT_TRY(save(list));
  }
  return total;
}

Result<void> SqliteStore::removeTimestamps(std::string_view parent_pattern) {
  GODWIT_TRY(touch());
  auto lists = matching("", parent_pattern);
  if (!lists.ok()) return lists.error();
  for (List& list : *lists) {
    Timestamp had = std::max(list.timestamp, list.floor);
    bool empty = list.live + list.tombstones == 0;
    if (!empty || had >= clock_.nowMs()) {
      list.timestamp = 0;
      list.floor = empty ? had : 0;
      GODWIT_TRY(save(list));
      continue;
    }
    Cursor c(connection_, Sql::kListDelete);
    c.integer(1, list.id);
    GODWIT_TRY(run(c));
  }
  return {};
}

Result<Session::Counts> SqliteStore::counts() {
  auto lists = matching("", "*");
  if (!lists.ok()) return lists.error();
  Session::Counts out;
  for (const List& list : *lists) {
    if (list.live) out.objects[list.resource] += static_cast<std::uint64_t>(list.live);
    if (list.tombstones) {
      out.tombstones[list.resource] += static_cast<std::uint64_t>(list.tombstones);
    }
  }
  return out;
}

Result<Session::Size> SqliteStore::size(const Ref& ref) {
  auto lists = matching(ref.resource, ref.parent);
  if (!lists.ok()) return lists.error();
  Session::Size out;
  for (const List& list : *lists) {
    out.items += static_cast<std::uint64_t>(list.live);
    out.bytes += static_cast<std::uint64_t>(list.bytes);
  }
  return out;
}

Result<void> SqliteStore::flush() {
  GODWIT_TRY(touch());
  auto r = connection_.exec(
      "DELETE FROM objects; DELETE FROM lists; DELETE FROM user_principals; DELETE FROM aces;");
  if (!r.ok()) return failed(r.error());
  return {};
}

}  // namespace godwit::store::sqlite
