#include "store/sqlite/sqlite_store.h"

#include <algorithm>
#include <utility>

#include "store/glob.h"
#include "store/stamp.h"

// Lists and single objects. Many at once: sqlite_bulk.cc. Groups and access control entries:
// sqlite_permissions.cc.
namespace godwit::store::sqlite {
namespace {

Error notFound() { return {ErrorCode::kNotFound, "no such object"}; }

Object tombstoneOf(std::string_view id, Timestamp t) {
  Object o;
  o.id = id;
  o.last_modified = t;
  o.deleted = true;
  return o;
}

}  // namespace

// --- Unit of work

void SqliteStore::reset() {
  in_savepoint_ = false;
  failure_.reset();
}

Error SqliteStore::failed(Error error) {
  if (!failure_) failure_ = error;
  return error;
}

Result<void> SqliteStore::touch() {
  if (failure_) return *failure_;
  if (in_savepoint_) return {};
  auto r = connection_.exec(Sql::kSavepoint);
  if (!r.ok()) return failed(r.error());
  in_savepoint_ = true;
  return {};
}

Result<void> SqliteStore::keep() {
  if (!in_savepoint_) return {};
  in_savepoint_ = false;
  return connection_.exec(Sql::kRelease);
}

Result<void> SqliteStore::undo() {
  if (!in_savepoint_) return {};
  in_savepoint_ = false;
  GODWIT_TRY(connection_.exec(Sql::kRollbackTo));
  return connection_.exec(Sql::kRelease);
}

Result<std::int64_t> SqliteStore::run(Cursor& cursor) {
  auto r = cursor.run();
  if (!r.ok()) return failed(r.error());
  return r;
}

// --- Lists

SqliteStore::List SqliteStore::read(Cursor& row) {
  List list;
  list.id = row.integerAt(0);
  list.timestamp = row.integerAt(1);
  if (list.timestamp < 0) list.floor = -std::exchange(list.timestamp, 0);
  list.live = row.integerAt(2);
  list.tombstones = row.integerAt(3);
  list.bytes = row.integerAt(4);
  return list;
}

Result<SqliteStore::List> SqliteStore::find(const Ref& ref) {
  Cursor c(connection_, Sql::kListFind);
  auto row = c.text(1, ref.parent).text(2, ref.resource).step();
  if (!row.ok()) return failed(row.error());
  return *row ? read(c) : List();
}

Result<SqliteStore::List> SqliteStore::obtain(const Ref& ref) {
  GODWIT_TRY(touch());
  auto list = find(ref);
  if (!list.ok() || list->id != 0) return list;
  {
    Cursor c(connection_, Sql::kListInsert);
    c.text(1, ref.parent).text(2, ref.resource);
    GODWIT_TRY(run(c));
  }
  return find(ref);
}

Result<std::vector<SqliteStore::List>> SqliteStore::matching(std::string_view resource,
                                                             std::string_view pattern) {
  std::string prefix(globPrefix(pattern));
  std::string end = prefixEnd(prefix);
  Cursor c(connection_, end.empty() ? Sql::kListsFrom : Sql::kListsRange);
  c.text(1, prefix);
  if (!end.empty()) c.text(2, end);
  std::vector<List> out;
  for (;;) {
    auto row = c.step();
    if (!row.ok()) return failed(row.error());
    if (!*row) return out;
    if (!resource.empty() && c.textAt(6) != resource) continue;
    if (!globMatches(pattern, c.textAt(5))) continue;
    List list = read(c);
    list.parent = c.textAt(5);
    list.resource = c.textAt(6);
    out.push_back(std::move(list));
  }
}

Result<std::vector<SqliteStore::List>> SqliteStore::named(const Ref& ref) {
  if (isGlob(ref.parent)) return matching(ref.resource, ref.parent);
  auto list = find(ref);
  if (!list.ok()) return list.error();
  std::vector<List> out;
  if (list->id != 0) out.push_back(std::move(*list));
  return out;
}

Result<void> SqliteStore::save(const List& list) {
  Cursor c(connection_, Sql::kListUpdate);
  c.integer(1, list.id).integer(2, list.timestamp != 0 ? list.timestamp : -list.floor);
  c.integer(3, list.live);
  c.integer(4, list.tombstones).integer(5, list.bytes);
  GODWIT_TRY(run(c));
  return {};
}

Result<Timestamp> SqliteStore::newest(const List& list) {
  if (list.timestamp != 0 || list.live + list.tombstones == 0) return list.timestamp;
  Cursor c(connection_, Sql::kListNewest);
  auto row = c.integer(1, list.id).step();
  if (!row.ok()) return failed(row.error());
  return c.integerAt(0);
}

// --- Objects

Result<Loaded> SqliteStore::load(const LoadSpec& spec) {
  Loaded out;
  if (!spec.user.empty()) {
    auto groups = userPrincipals(spec.user);
    if (!groups.ok()) return groups.error();
    out.groups = std::move(*groups);
  }
  auto entries = aces(spec.uris);
  if (!entries.ok()) return entries.error();
  out.aces = std::move(*entries);
  if (spec.ref) {
    auto object = get(*spec.ref, spec.id);
    if (object.ok()) {
      out.object = std::move(*object);
    } else if (object.error().code != ErrorCode::kNotFound) {
      return object.error();
    }
  }
  return out;
}

Result<Timestamp> SqliteStore::timestamp(const Ref& ref, bool may_create) {
  auto list = find(ref);
  if (!list.ok()) return list.error();
  if (list->id != 0) {
    auto t = newest(*list);
    if (!t.ok() || *t != 0) return t;
  }
  if (!may_create) return {ErrorCode::kNeedsWrite, "the list has no timestamp yet"};
  list = obtain(ref);
  if (!list.ok()) return list.error();
  list->timestamp = std::max(clock_.nowMs(), list->floor + 1);
  GODWIT_TRY(save(*list));
  return list->timestamp;
}

Result<Object> SqliteStore::write(List& list, Object object, bool only_new) {
  std::int64_t n = 0;
  Timestamp current = 0;
  bool was_deleted = false;
  std::int64_t old_bytes = 0;
  {
    Cursor c(connection_, Sql::kObjectFind);
    auto row = c.integer(1, list.id).text(2, object.id).step();
    if (!row.ok()) return failed(row.error());
    if (*row) {
      n = c.integerAt(0);
      current = c.integerAt(1);
      was_deleted = c.integerAt(2) != 0;
      old_bytes = was_deleted ? 0 : c.integerAt(3);
    }
  }
  if (only_new && n != 0 && !was_deleted) {
    return {ErrorCode::kConflict, "an object with this id exists"};
  }
  if (object.deleted && (n == 0 || was_deleted)) return notFound();
  if (object.last_modified < 0 || object.last_modified > kMaxTimestamp) {
    return {ErrorCode::kInvalid, "last_modified is out of range"};
  }
  auto latest = newest(list);
  if (!latest.ok()) return latest.error();
  std::optional<Error> broken;
  Stamp stamp = nextStamp(*latest, list.floor, current, object.last_modified, clock_.nowMs(),
                          [&](Timestamp t) {
                            Cursor c(connection_, Sql::kTimeTaken);
                            auto row = c.integer(1, list.id).integer(2, t).step();
                            if (!row.ok()) broken = failed(row.error());
                            return row.ok() && *row;
                          });
  if (broken) return *broken;
  object.last_modified = stamp.object;
  {
    Cursor c(connection_, n == 0 ? Sql::kObjectInsert : Sql::kObjectUpdate);
    if (n == 0) {
      c.integer(1, list.id).text(2, object.id).integer(3, object.last_modified);
      c.integer(4, object.deleted ? 1 : 0).text(5, object.data);
    } else {
      c.integer(1, n).integer(2, object.last_modified).integer(3, object.deleted ? 1 : 0);
      c.text(4, object.data);
    }
    GODWIT_TRY(run(c));
  }
  bool was_live = n != 0 && !was_deleted;
  bool is_live = !object.deleted;
  list.timestamp = stamp.list;
  list.live += (is_live ? 1 : 0) - (was_live ? 1 : 0);
  list.tombstones += (is_live ? 0 : 1) - (was_deleted ? 1 : 0);
  list.bytes += (is_live ? static_cast<std::int64_t>(object.data.size()) : 0) - old_bytes;
  GODWIT_TRY(save(list));
  return object;
}

Result<Object> SqliteStore::create(const Ref& ref, Object object) {
  auto list = obtain(ref);
  if (!list.ok()) return list.error();
  object.deleted = false;
  return write(*list, std::move(object), true);
}

Result<Object> SqliteStore::get(const Ref& ref, std::string_view id) {
  Cursor c(connection_, Sql::kObjectLoad);
  auto row = c.text(1, ref.parent).text(2, ref.resource).text(3, id).step();
  if (!row.ok()) return failed(row.error());
  if (!*row) return notFound();
  Object o;
  o.id = id;
  o.last_modified = c.integerAt(0);
  o.data = c.textAt(1);
  return o;
}

Result<Object> SqliteStore::update(const Ref& ref, Object object) {
  auto list = obtain(ref);
  if (!list.ok()) return list.error();
  object.deleted = false;
  return write(*list, std::move(object), false);
}

Result<Object> SqliteStore::remove(const Ref& ref, std::string_view id, Timestamp requested) {
  auto list = find(ref);
  if (!list.ok()) return list.error();
  if (list->id == 0) return notFound();
  GODWIT_TRY(touch());
  return write(*list, tombstoneOf(id, requested), false);
}

Result<void> SqliteStore::scan(const List& list, const Plan& plan, const Visit& visit) {
  auto rows = [&](Cursor& c) -> Result<bool> {
    auto row = c.step();
    if (!row.ok()) return failed(row.error());
    if (!*row) return false;
    ObjectView v{c.textAt(1), c.integerAt(2), c.integerAt(3) != 0, c.textAt(4)};
    return !plan.matches(v) || visit(v, c.integerAt(0));
  };
  if (plan.ids()) {
    for (const std::string& id : *plan.ids()) {
      Cursor c(connection_, Sql::kObjectRow);
      auto more = rows(c.integer(1, list.id).text(2, id));
      if (!more.ok()) return more.error();
    }
    return {};
  }
  if (plan.from() > plan.to()) return {};
  Cursor c(connection_, plan.byTime() && !plan.descending() ? Sql::kScanUp : Sql::kScanDown);
  c.integer(1, list.id).integer(2, plan.from()).integer(3, plan.to());
  for (;;) {
    auto more = rows(c);
    if (!more.ok()) return more.error();
    if (!*more) return {};
  }
}

Result<std::vector<Object>> SqliteStore::list(const Ref& ref, const Query& query) {
  auto plan = Plan::make(query);
  if (!plan.ok()) return plan.error();
  std::vector<Object> out;
  if (query.limit == 0U) return out;
  auto lists = named(ref);
  if (!lists.ok()) return lists.error();
  auto items = select(*lists, *plan);
  if (!items.ok()) return items.error();
  out.reserve(items->size());
  for (auto& item : *items) out.push_back(std::move(item.object));
  return out;
}

Result<std::uint64_t> SqliteStore::count(const Ref& ref, const Query& query) {
  Query only;
  only.filters = query.filters;
  auto plan = Plan::make(only);
  if (!plan.ok()) return plan.error();
  auto lists = named(ref);
  if (!lists.ok()) return lists.error();
  std::uint64_t n = 0;
  for (const List& list : *lists) {
    if (plan->unfiltered()) {
      n += static_cast<std::uint64_t>(list.live);
      continue;
    }
    GODWIT_TRY(scan(list, *plan, [&](const ObjectView&, std::int64_t) {
      ++n;
      return true;
    }));
  }
  return n;
}

Result<std::vector<Selection::Item>> SqliteStore::select(const std::vector<List>& lists,
                                                         const Plan& plan) {
  Selection selection(plan);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    GODWIT_TRY(scan(lists[i], plan, [&](const ObjectView& v, std::int64_t) {
      selection.offer({v.id, v.last_modified, v.deleted, v.data}, static_cast<std::int64_t>(i));
      return lists.size() > 1 || plan.ids() || !selection.full();
    }));
  }
  return selection.take();
}

}  // namespace godwit::store::sqlite
