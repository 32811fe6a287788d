#include "store/memory/memory_store.h"

#include <algorithm>

#include "store/glob.h"
#include "store/stamp.h"

namespace godwit::store {
namespace {

Error notFound() { return {ErrorCode::kNotFound, "no such object"}; }

Object objectOf(const std::string& id, Timestamp t, bool deleted, const std::string& data) {
  Object o;
  o.id = id;
  o.last_modified = t;
  o.deleted = deleted;
  o.data = data;
  return o;
}

}  // namespace

void MemoryStore::rollback() {
  while (!undo_.empty()) {
    undo_.back()();
    undo_.pop_back();
  }
}

// --- Lists

MemoryStore::List* MemoryStore::find(const Ref& ref) {
  auto it = lists_.find({ref.parent, ref.resource});
  return it == lists_.end() ? nullptr : &it->second;
}

MemoryStore::List& MemoryStore::obtain(const Ref& ref) {
  auto [it, added] = lists_.try_emplace({ref.parent, ref.resource});
  if (added) {
    it->second.resource = ref.resource;
    it->second.parent = ref.parent;
    undo_.emplace_back([this, key = it->first] { lists_.erase(key); });
  }
  return it->second;
}

std::vector<MemoryStore::List*> MemoryStore::matching(std::string_view resource,
                                                      std::string_view pattern) {
  std::vector<List*> out;
  std::string prefix(globPrefix(pattern));
  for (auto it = lists_.lower_bound({prefix, ""});
       it != lists_.end() && it->first.first.starts_with(prefix); ++it) {
    if ((resource.empty() || it->second.resource == resource) &&
        globMatches(pattern, it->second.parent)) {
      out.push_back(&it->second);
    }
  }
  return out;
}

std::vector<MemoryStore::List*> MemoryStore::named(const Ref& ref) {
  if (isGlob(ref.parent)) return matching(ref.resource, ref.parent);
  List* list = find(ref);
  return list ? std::vector<List*>{list} : std::vector<List*>();
}

ObjectView MemoryStore::view(const std::string& id, const Row& row) {
  return {id, row.last_modified, row.deleted, row.data};
}

void MemoryStore::setTimestamp(List& list, Timestamp t, Timestamp floor) {
  undo_.emplace_back([&list, old = list.timestamp, old_floor = list.floor] {
    list.timestamp = old;
    list.floor = old_floor;
  });
  list.timestamp = t;
  list.floor = floor;
}

void MemoryStore::putRowRaw(List& list, const std::string& id, Row row) {
  eraseRowRaw(list, id);
  if (!row.deleted) {
    ++list.live;
    list.bytes += row.data.size();
  }
  list.by_time.emplace(row.last_modified, id);
  list.rows.insert_or_assign(id, std::move(row));
}

void MemoryStore::eraseRowRaw(List& list, const std::string& id) {
  auto it = list.rows.find(id);
  if (it == list.rows.end()) return;
  if (!it->second.deleted) {
    --list.live;
    list.bytes -= it->second.data.size();
  }
  list.by_time.erase(it->second.last_modified);
  list.rows.erase(it);
}

void MemoryStore::putRow(List& list, const std::string& id, Row row) {
  auto it = list.rows.find(id);
  if (it == list.rows.end()) {
    undo_.emplace_back([this, &list, id] { eraseRowRaw(list, id); });
  } else {
    undo_.emplace_back([this, &list, id, old = it->second] { putRowRaw(list, id, old); });
  }
  putRowRaw(list, id, std::move(row));
}

void MemoryStore::eraseRow(List& list, const std::string& id) {
  auto it = list.rows.find(id);
  if (it == list.rows.end()) return;
  undo_.emplace_back([this, &list, id, old = it->second] { putRowRaw(list, id, old); });
  eraseRowRaw(list, id);
}

// --- Objects

Result<Loaded> MemoryStore::load(const LoadSpec& spec) {
  Loaded out;
  if (!spec.user.empty()) out.groups = std::move(*userPrincipals(spec.user));
  auto entries = aces(spec.uris);
  out.aces = std::move(*entries);
  if (spec.ref) {
    auto object = get(*spec.ref, spec.id);
    if (object.ok()) out.object = std::move(*object);
  }
  return out;
}

Result<Timestamp> MemoryStore::timestamp(const Ref& ref, bool may_create) {
  List* list = find(ref);
  if (list && list->timestamp != 0) return list->timestamp;
  if (list && !list->by_time.empty()) return list->by_time.rbegin()->first;
  if (!may_create) return {ErrorCode::kNeedsWrite, "the list has no timestamp yet"};
  List& made = obtain(ref);
  setTimestamp(made, std::max(clock_.nowMs(), made.floor + 1));
  return made.timestamp;
}

Result<Object> MemoryStore::write(List& list, Object object) {
  auto old = list.rows.find(object.id);
  Timestamp current = old == list.rows.end() ? 0 : old->second.last_modified;
  Timestamp newest = list.timestamp;
  if (newest == 0 && !list.by_time.empty()) newest = list.by_time.rbegin()->first;
  if (object.last_modified < 0 || object.last_modified > kMaxTimestamp) {
    return {ErrorCode::kInvalid, "last_modified is out of range"};
  }
  Stamp stamp = nextStamp(newest, list.floor, current, object.last_modified, clock_.nowMs(),
                          [&](Timestamp t) { return list.by_time.contains(t); });
  if (stamp.list != list.timestamp) setTimestamp(list, stamp.list);
  object.last_modified = stamp.object;
  Row row;
  row.last_modified = object.last_modified;
  row.deleted = object.deleted;
  row.data = object.data;
  putRow(list, object.id, std::move(row));
  return object;
}

Result<Object> MemoryStore::create(const Ref& ref, Object object) {
  List* list = find(ref);
  if (list) {
    auto it = list->rows.find(object.id);
    if (it != list->rows.end() && !it->second.deleted) {
      return {ErrorCode::kConflict, "an object with this id exists"};
    }
  }
  object.deleted = false;
  return write(obtain(ref), std::move(object));
}

Result<Object> MemoryStore::get(const Ref& ref, std::string_view id) {
  List* list = find(ref);
  if (!list) return notFound();
  auto it = list->rows.find(std::string(id));
  if (it == list->rows.end() || it->second.deleted) return notFound();
  return objectOf(it->first, it->second.last_modified, false, it->second.data);
}

Result<Object> MemoryStore::update(const Ref& ref, Object object) {
  object.deleted = false;
  return write(obtain(ref), std::move(object));
}

Result<Object> MemoryStore::remove(const Ref& ref, std::string_view id, Timestamp requested) {
  auto existing = get(ref, id);
  if (!existing.ok()) return existing.error();
  return write(*find(ref), objectOf(std::string(id), requested, true, "{}"));
}

std::vector<Selection::Item> MemoryStore::select(const std::vector<List*>& lists,
                                                 const Plan& plan) {
  Selection selection(plan);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const List& list = *lists[i];
    auto offer = [&](const std::string& id, const Row& row) {
      ObjectView v = view(id, row);
      if (plan.matches(v)) selection.offer(v, static_cast<std::int64_t>(i));
    };
    if (plan.ids()) {
      for (const std::string& id : *plan.ids()) {
        auto it = list.rows.find(id);
        if (it != list.rows.end()) offer(it->first, it->second);
      }
      continue;
    }
    if (plan.from() > plan.to()) continue;
    auto from = list.by_time.lower_bound(plan.from());
    auto to = list.by_time.upper_bound(plan.to());
    bool may_stop = lists.size() == 1;
    if (plan.byTime() && plan.descending()) {
      while (to != from && !(may_stop && selection.full())) {
        --to;
        offer(to->second, list.rows.at(to->second));
      }
    } else {
      for (; from != to && !(may_stop && selection.full()); ++from) {
        offer(from->second, list.rows.at(from->second));
      }
    }
  }
  return selection.take();
}

Result<std::vector<Object>> MemoryStore::list(const Ref& ref, const Query& query) {
  auto plan = Plan::make(query);
  if (!plan.ok()) return plan.error();
  std::vector<Object> out;
  for (auto& item : select(named(ref), *plan)) out.push_back(std::move(item.object));
  return out;
}

Result<std::uint64_t> MemoryStore::count(const Ref& ref, const Query& query) {
  Query only;
  only.filters = query.filters;
  auto plan = Plan::make(only);
  if (!plan.ok()) return plan.error();
  std::uint64_t n = 0;
  for (const List* list : named(ref)) {
    if (plan->unfiltered()) {
      n += list->live;
      continue;
    }
    n += static_cast<std::uint64_t>(
        std::count_if(list->rows.begin(), list->rows.end(),
                      [&](const auto& row) { return plan->matches(view(row.first, row.second)); }));
  }
  return n;
}

Result<std::vector<DeletedObject>> MemoryStore::removeAll(const Ref& ref, const Query& query,
                                                          bool with_tombstones) {
  Query live = query;
  live.include_deleted = false;
  auto plan = Plan::make(live);
  if (!plan.ok()) return plan.error();
  std::vector<List*> lists = matching(ref.resource, ref.parent);
  std::vector<DeletedObject> out;
  for (auto& item : select(lists, *plan)) {
    List& list = *lists[static_cast<std::size_t>(item.tag)];
    DeletedObject gone;
    gone.parent = list.parent;
    gone.tombstone = objectOf(item.object.id, 0, true, "{}");
    if (with_tombstones) {
      auto written = write(list, std::move(gone.tombstone));
      if (!written.ok()) return written.error();
      gone.tombstone = std::move(*written);
    } else {
      gone.tombstone.last_modified = item.object.last_modified;
      eraseRow(list, item.object.id);
    }
    out.push_back(std::move(gone));
  }
  return out;
}

Result<std::uint64_t> MemoryStore::purgeTombstones(const Ref& ref,
                                                   std::optional<Timestamp> before) {
  std::uint64_t n = 0;
  for (List* list : matching(ref.resource, ref.parent)) {
    std::vector<std::string> ids;
    for (const auto& [id, row] : list->rows) {
      if (row.deleted && (!before || row.last_modified < *before)) ids.push_back(id);
    }
    for (const std::string& id : ids) eraseRow(*list, id);
    n += ids.size();
  }
  return n;
}

Result<std::uint64_t> MemoryStore::trimTombstones(std::string_view resource, std::uint64_t keep) {
  std::uint64_t n = 0;
  for (List* list : matching(resource, "*")) {
    std::vector<std::string> ids;
    std::uint64_t seen = 0;
    for (auto it = list->by_time.rbegin(); it != list->by_time.rend(); ++it) {
      if (list->rows.at(it->second).deleted && ++seen > keep) ids.push_back(it->second);
    }
    for (const std::string& id : ids) eraseRow(*list, id);
    n += ids.size();
  }
  return n;
}

Result<std::uint64_t> MemoryStore::trimObjects(const Ref& ref, const Query& query,
                                               std::uint64_t keep) {
  Query newest;
  newest.filters = query.filters;
  auto plan = Plan::make(newest);
  if (!plan.ok()) return plan.error();
  std::vector<List*> lists = matching(ref.resource, ref.parent);
  auto items = select(lists, *plan);
  std::uint64_t n = 0;
  for (std::size_t i = keep; i < items.size(); ++i, ++n) {
    eraseRow(*lists[static_cast<std::size_t>(items[i].tag)], items[i].object.id);
  }
  return n;
}

Result<void> MemoryStore::removeTimestamps(std::string_view parent_pattern) {
  for (List* list : matching("", parent_pattern)) {
    if (!list->rows.empty()) {
      setTimestamp(*list, 0);
      continue;
    }
    if (Timestamp had = std::max(list->timestamp, list->floor); had >= clock_.nowMs()) {
      setTimestamp(*list, 0, had);
      continue;
    }
    // The node keeps its address, which earlier undo steps may refer to.
    using Node = decltype(lists_)::node_type;
    auto node = std::make_shared<Node>(lists_.extract({list->parent, list->resource}));
    undo_.emplace_back([this, node] { lists_.insert(std::move(*node)); });
  }
  return {};
}

Result<Session::Counts> MemoryStore::counts() {
  Session::Counts out;
  for (const auto& [key, list] : lists_) {
    std::uint64_t tombstones = list.rows.size() - list.live;
    if (list.live) out.objects[list.resource] += list.live;
    if (tombstones) out.tombstones[list.resource] += tombstones;
  }
  return out;
}

Result<Session::Size> MemoryStore::size(const Ref& ref) {
  Session::Size out;
  for (List* list : matching(ref.resource, ref.parent)) {
    out.items += list->live;
    out.bytes += list->bytes;
  }
  return out;
}

Result<void> MemoryStore::flush() {
  // Swapped out whole; earlier undo steps refer to the lists by address, which a swap keeps.
  auto lists = std::make_shared<decltype(lists_)>();
  auto groups = std::make_shared<decltype(groups_)>();
  auto entries = std::make_shared<decltype(aces_)>();
  lists->swap(lists_);
  groups->swap(groups_);
  entries->swap(aces_);
  undo_.emplace_back([this, lists, groups, entries] {
    lists_.swap(*lists);
    groups_.swap(*groups);
    aces_.swap(*entries);
  });
  return {};
}

}  // namespace godwit::store
