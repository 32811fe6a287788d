#include "ops/store_sink.h"

#include <algorithm>

#include "json/value.h"
#include "ops/store_source.h"
#include "ops/uri.h"
#include "store/bring_over.h"

namespace godwit::ops {
namespace {

struct Batch {
  const store::Ref* ref;
  std::vector<const Row*> rows;
  std::vector<const Row*> newer;  // in the target
  Error why;
};

std::vector<std::string> membersOf(const store::Object& group) {
  std::vector<std::string> out;
  auto data = json::parse(group.data);
  const json::Value* members = data.ok() ? data->get("members") : nullptr;
  if (!members || !members->isArray()) return out;
  for (const json::Value& m : members->asArray()) {
    if (m.isString()) out.push_back(m.asString());
  }
  return out;
}

Task<Result<void>> putMembers(store::Session& s, const std::string& uri, const Row& row) {
  auto gone = co_await s.removePrincipal(uri);
  if (!gone.ok()) co_return std::move(gone).error();
  if (row.object.deleted) co_return Result<void>();
  for (const std::string& member : membersOf(row.object)) {
    auto added = co_await s.addUserPrincipal(member, uri);
    if (!added.ok()) co_return std::move(added).error();
  }
  co_return Result<void>();
}

Task<Result<void>> putRow(store::Session& s, Batch& batch, const Row& row) {
  auto brought = co_await store::bringOver(s, *batch.ref, row.object);
  if (!brought.ok() && brought.error().code == ErrorCode::kConflict) {
    batch.newer.push_back(&row);
    co_return Result<void>();
  }
  if (!brought.ok()) co_return std::move(brought).error();
  std::string uri = objectUri(*batch.ref, row.object.id);
  if (uri.empty()) co_return Result<void>();
  if (*brought == store::Brought::kReplaced) {
    std::vector<std::string> uris;
    uris.push_back(uri);
    auto gone = co_await s.removeAces(uris);
    if (!gone.ok()) co_return std::move(gone).error();
  }
  if (!row.permissions.empty()) {
    auto granted = co_await s.replaceAces(uri, row.permissions);
    if (!granted.ok()) co_return std::move(granted).error();
  }
  if (batch.ref->resource != "group") co_return Result<void>();
  auto members = co_await putMembers(s, uri, row);
  co_return members;
}

Task<store::Verdict> putRows(store::Session& s, Batch* batch) {
  batch->newer.clear();
  for (const Row* row : batch->rows) {
    auto done = co_await putRow(s, *batch, *row);
    if (!done.ok()) {
      batch->why = std::move(done).error();
      batch->why.message =
          describe(*batch->ref) + ", id " + row->object.id + ": " + batch->why.message;
      co_return store::Verdict::kRollback;
    }
  }
  co_return store::Verdict::kCommit;
}

}  // namespace

Result<std::unique_ptr<StoreSink>> StoreSink::open(const std::string& url) {
  auto sink = std::make_unique<StoreSink>(url);
  auto opened = store::BlockingStore::open(url);
  if (!opened.ok()) return std::move(opened).error();
  sink->store_ = std::move(*opened);
  auto before = StoreSource::open(url);
  if (!before.ok()) return std::move(before).error();
  auto lists = (*before)->lists();
  if (!lists.ok()) return std::move(lists).error();
  for (const List& l : *lists) sink->there_[{l.ref.parent, l.ref.resource}] = l.timestamp;
  return sink;
}

// A reader kept open would keep SQLite from checkpointing, so each page has its own.
StoreSink::StoreSink(std::string url)
    : url_(std::move(url)), presence_([this](const store::Ref& ref, store::Timestamp after) {
        auto reader = StoreSource::open(url_);
        if (!reader.ok()) return Result<Page>(std::move(reader).error());
        return (*reader)->rows(ref, after, false);
      }) {}

std::string StoreSink::name() const { return publicStoreUrl(url_); }

Result<bool> StoreSink::begin(const List& list, store::Timestamp&) {
  presence_.start(list.ref);
  newest_ = 0;
  return true;
}

Result<void> StoreSink::put(const store::Ref& ref, const std::vector<Row>& rows) {
  Batch batch;
  batch.ref = &ref;
  for (const Row& row : rows) {
    auto there = presence_.has(row);
    if (!there.ok()) return std::move(there).error();
    if (*there) {
      ++present_;
    } else {
      batch.rows.push_back(&row);
    }
    newest_ = row.object.last_modified;
  }
  if (batch.rows.empty()) return {};
  auto done = store_->write([&](store::Session& s) { return putRows(s, &batch); });
  if (!done.ok()) return batch.why.message.empty() ? std::move(done).error() : batch.why;
  for (const Row* row : batch.newer) {
    note(describe(ref) + ", id " + row->object.id + ": the target has a newer one");
  }
  written_ += batch.rows.size() - batch.newer.size();
  return {};
}

Result<void> StoreSink::end(const List& list) {
  auto before = there_.find({list.ref.parent, list.ref.resource});
  store::Timestamp had = before == there_.end() ? 0 : before->second;
  if (list.timestamp <= std::max(newest_, had)) return {};
  return store_->write(
      [&](store::Session& s) { return store::raiseTimestamp(s, &list.ref, list.timestamp); });
}

}  // namespace godwit::ops
