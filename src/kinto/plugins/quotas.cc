#include "kinto/plugins/quotas.h"

#include <map>

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/plugins/quota_limits.h"
#include "kinto/plugins/quota_use.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

// What a transaction changes of one bucket, in the order of names so that two transactions take
// their locks in the same order.
struct BucketChange {
  QuotaUse use;
  std::map<std::string, QuotaUse, std::less<>> collections;
};
using Ledger = std::map<std::string, BucketChange, std::less<>>;

bool counts(const Event& event) {
  const std::string& name = event.resource->name;
  return name == "bucket" || name == "group" || name == "collection" || name == "record";
}

std::string_view bucketOf(const Event& event) {
  return event.resource->name == "bucket" ? event.object.id : event.bucket_id;
}

// "" for what is in none.
std::string_view collectionOf(const Event& event) {
  return event.resource->name == "collection" ? event.object.id : event.collection_id;
}

bool deletes(const Event& event, std::string_view resource) {
  return event.action == Action::kDelete && event.resource->name == resource;
}

// Of the object alone.
QuotaUse changeOf(const Event& event) {
  QuotaUse change;
  int step = event.action == Action::kCreate ? 1 : event.action == Action::kDelete ? -1 : 0;
  if (event.resource->name == "collection") change.collections = step;
  if (event.resource->name == "record") change.records = step;
  if (event.action != Action::kDelete) change.bytes += quotaSize(event.object);
  if (event.old) change.bytes -= quotaSize(*event.old);
  return change;
}

void add(Ledger& ledger, const Event& event) {
  std::string bucket(bucketOf(event));
  if (deletes(event, "bucket")) {
    // What is stored about it went with it; should it be made again, it starts from nothing.
    ledger.erase(bucket);
    return;
  }
  BucketChange& change = ledger[bucket];
  QuotaUse use = changeOf(event);
  change.use += use;
  std::string collection(collectionOf(event));
  if (collection.empty()) return;
  if (deletes(event, "collection")) {
    change.use.records -= event.records_below;
    change.use.bytes -= event.bytes_below;
    change.collections.erase(collection);
    return;
  }
  use.collections = 0;
  change.collections[collection] += use;
}

Ledger ledgerOf(const std::vector<Event>& events) {
  Ledger ledger;
  for (const Event& event : events) {
    if (counts(event)) add(ledger, event);
  }
  return ledger;
}

// What these events did to one collection since it was there.
QuotaUse changeOf(const std::vector<Event>& events, std::string_view bucket,
                  std::string_view collection) {
  QuotaUse change;
  for (const Event& event : events) {
    if (!counts(event) || bucketOf(event) != bucket) continue;
    if (deletes(event, "bucket")) change = QuotaUse();
    if (collectionOf(event) != collection) continue;
    if (deletes(event, "collection")) {
      change = QuotaUse();
    } else {
      change += changeOf(event);
    }
  }
  return change;
}

std::string uriOf(std::string_view bucket, std::string_view collection = {}) {
  std::string uri = "/buckets/" + std::string(bucket);
  if (!collection.empty()) uri += "/collections/" + std::string(collection);
  return uri;
}

bool refuse(Call& call, const std::string& what, std::int64_t use, std::int64_t limit,
            const char* end) {
  setError(call.answer, 507, kErrnoForbidden,
           what + " (" + std::to_string(use) + " > " + std::to_string(limit) + end);
  return false;
}

bool failed(Call& call, const Error& error) {
  call.app().storageFailed(call, error);
  return false;
}

class QuotasPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "quotas"; }
  [[nodiscard]] unsigned hooks() const override { return kBeforeCascade | kBeforeCommit; }

  Result<void> setUp(Setup& setup) override {
    auto limits = QuotaLimits::read(setup.config());
    if (!limits.ok()) return std::move(limits).error();
    limits_ = std::move(*limits);
    setup.addCapability("quotas", R"({"description":"Quotas Management on buckets )"
                                  R"(and collections.","url":"https://kinto.readthedocs.io"})");
    return {};
  }

  // The records of a deleted collection go without events of their own.
  Task<bool> beforeCascade(store::Session& session, Call& call, Event& event) override {
    if (!deletes(event, "collection")) co_return true;
    auto stored = co_await readQuotaUse(session, QuotaOf::kCollection, event.uri);
    if (!stored.ok()) co_return failed(call, stored.error());
    // And what this transaction did to it before.
    QuotaUse use = *stored;
    use += changeOf(call.exchange.events, event.bucket_id, event.object.id);
    if (event.old) use.bytes -= quotaSize(*event.old);
    event.records_below = std::max<std::int64_t>(use.records, 0);
    event.bytes_below = std::max<std::int64_t>(use.bytes, 0);
    co_return true;
  }

  Task<bool> beforeCommit(store::Session& session, Call& call) override {
    const std::vector<Event>& events = call.exchange.events;
    for (const Event& event : events) {
      if (!itemFits(call, event)) co_return false;
    }
    Ledger ledger = ledgerOf(events);
    for (const auto& [bucket, change] : ledger) {
      bool fits = co_await apply(session, call, bucket, change);
      if (!fits) co_return false;
    }
    co_return true;
  }

 private:
  using Measure = QuotaLimits::Measure;

  [[nodiscard]] bool itemFits(Call& call, const Event& event) const {
    if (!counts(event) || event.action == Action::kDelete) return true;
    auto limit = limits_.ofItem(bucketOf(event), collectionOf(event));
    std::int64_t size = quotaSize(event.object);
    if (!limit || size <= *limit) return true;
    return refuse(call, "Maximum bytes per object exceeded", size, *limit, " Bytes.");
  }

  // What stays within the limit, or does not grow, is accepted: freeing room must stay possible
  // after a limit was lowered.
  [[nodiscard]] bool bucketFits(Call& call, const std::string& bucket, const QuotaUse& use,
                                const QuotaUse& change) const {
    auto bytes = limits_.ofBucket(bucket, Measure::kBytes);
    if (bytes && change.bytes > 0 && use.bytes > *bytes) {
      return refuse(call, "Bucket maximum total size exceeded", use.bytes, *bytes, " Bytes). ");
    }
    auto items = limits_.ofBucket(bucket, Measure::kItems);
    if (items && change.records > 0 && use.records > *items) {
      return refuse(call, "Bucket maximum number of objects exceeded", use.records, *items,
                    " objects).");
    }
    return true;
  }

  [[nodiscard]] bool collectionFits(Call& call, const std::string& bucket,
                                    const std::string& collection, const QuotaUse& use,
                                    const QuotaUse& change) const {
    auto bytes = limits_.ofCollection(bucket, collection, Measure::kBytes);
    if (bytes && change.bytes > 0 && use.bytes > *bytes) {
      return refuse(call, "Collection maximum size exceeded", use.bytes, *bytes, " Bytes).");
    }
    auto items = limits_.ofCollection(bucket, collection, Measure::kItems);
    if (items && change.records > 0 && use.records > *items) {
      return refuse(call, "Collection maximum number of objects exceeded", use.records, *items,
                    " objects).");
    }
    return true;
  }

  Task<bool> apply(store::Session& session, Call& call, const std::string& bucket,
                   const BucketChange& change) {
    std::string uri = uriOf(bucket);
    auto locked = co_await lockQuotaUse(session, uri);
    if (!locked.ok()) co_return failed(call, locked.error());
    auto stored = co_await readQuotaUse(session, QuotaOf::kBucket, uri);
    if (!stored.ok()) co_return failed(call, stored.error());
    QuotaUse use = *stored;
    use += change.use;
    if (!bucketFits(call, bucket, use, change.use)) co_return false;
    for (const auto& [collection, part] : change.collections) {
      std::string below = uriOf(bucket, collection);
      auto before = co_await readQuotaUse(session, QuotaOf::kCollection, below);
      if (!before.ok()) co_return failed(call, before.error());
      QuotaUse now = *before;
      now += part;
      if (!collectionFits(call, bucket, collection, now, part)) co_return false;
      auto written = co_await writeQuotaUse(session, QuotaOf::kCollection, below, now);
      if (!written.ok()) co_return failed(call, written.error());
    }
    auto written = co_await writeQuotaUse(session, QuotaOf::kBucket, uri, use);
    if (!written.ok()) co_return failed(call, written.error());
    co_return true;
  }

  // Set once
  QuotaLimits limits_;
};

}  // namespace

std::unique_ptr<Plugin> makeQuotasPlugin() { return std::make_unique<QuotasPlugin>(); }

}  // namespace godwit::kinto
