#include "kinto/plugins/quota_use.h"
#include "kinto/server.h"
#include "kinto/store_runner.h"

namespace godwit::kinto {
namespace {

constexpr std::uint64_t kPage = 1000;

store::Query pageAfter(const std::string& id) {
  store::Query query;
  query.sort.push_back({"id", false});
  query.limit = kPage;
  if (!id.empty()) {
    store::Filter after{"id", store::Op::kGt, json::Value(id)};
    query.page_rules.push_back({after});
  }
  return query;
}

// The objects of a list, page by page, in the order of ids.
Task<Result<std::vector<store::Object>>> pageOf(store::Session& session, const store::Ref& list,
                                                const std::string& after) {
  store::Query query = pageAfter(after);
  auto page = co_await session.list(list, query);
  co_return page;
}

Task<Result<QuotaUse>> sumOf(store::Session& session, store::Ref list) {
  QuotaUse use;
  std::string last;
  for (;;) {
    auto page = co_await pageOf(session, list, last);
    if (!page.ok()) co_return std::move(page).error();
    for (const store::Object& object : *page) {
      use.records += 1;
      use.bytes += quotaSize(object);
    }
    if (page->size() < kPage) co_return use;
    last = page->back().id;
  }
}

std::string lineOf(const std::string& bucket, const std::string& collection, const QuotaUse& use) {
  std::string line = "Bucket " + bucket;
  if (!collection.empty()) line += ", collection " + collection;
  line += ". Final size: ";
  if (collection.empty()) line += std::to_string(use.collections) + " collections, ";
  return line + std::to_string(use.records) + " records, " + std::to_string(use.bytes) + " bytes.";
}

// One bucket in one transaction.
class Rebuild {
 public:
  Rebuild(std::string bucket, bool dry_run)
      : bucket_(std::move(bucket)), uri_("/buckets/" + bucket_), dry_run_(dry_run) {}

  std::vector<std::string> lines;

  Task<Result<void>> run(store::Session& session) {
    lines.clear();
    if (!dry_run_) {
      // Before anything is counted: who changes the bucket needs this lock to commit.
      auto locked = co_await lockQuotaUse(session, uri_);
      if (!locked.ok()) co_return locked;
    }
    store::Ref buckets{"bucket", ""};
    auto bucket = co_await session.get(buckets, bucket_);
    if (!bucket.ok()) {
      if (bucket.error().code == ErrorCode::kNotFound) co_return Result<void>();
      co_return std::move(bucket).error();
    }
    store::Ref groups{"group", uri_};
    auto grouped = co_await sumOf(session, groups);
    if (!grouped.ok()) co_return std::move(grouped).error();
    QuotaUse use;
    use.bytes = quotaSize(*bucket) + grouped->bytes;
    auto counted = co_await collections(session, use);
    if (!counted.ok()) co_return counted;
    lines.push_back(lineOf(bucket_, "", use));
    if (dry_run_) co_return Result<void>();
    auto written = co_await writeQuotaUse(session, QuotaOf::kBucket, uri_, use);
    co_return written;
  }

 private:
  Task<Result<void>> collections(store::Session& session, QuotaUse& total) {
    store::Ref list{"collection", uri_};
    std::string last;
    for (;;) {
      auto page = co_await pageOf(session, list, last);
      if (!page.ok()) co_return std::move(page).error();
      for (const store::Object& collection : *page) {
        auto done = co_await collectionUse(session, collection, total);
        if (!done.ok()) co_return done;
      }
      if (page->size() < kPage) co_return Result<void>();
      last = page->back().id;
    }
  }

  Task<Result<void>> collectionUse(store::Session& session, const store::Object& collection,
                                   QuotaUse& total) {
    std::string uri = uri_ + "/collections/" + collection.id;
    store::Ref records{"record", uri};
    auto use = co_await sumOf(session, records);
    if (!use.ok()) co_return std::move(use).error();
    use->bytes += quotaSize(collection);
    total += *use;
    total.collections += 1;
    lines.push_back(lineOf(bucket_, collection.id, *use));
    if (dry_run_) co_return Result<void>();
    auto written = co_await writeQuotaUse(session, QuotaOf::kCollection, uri, *use);
    co_return written;
  }

  const std::string bucket_, uri_;
  const bool dry_run_;
};

Result<void> runOne(StoreRunner& runner, store::Mode mode,
                    const std::function<Task<Result<void>>(store::Session&)>& unit) {
  Result<void> answer;
  auto work = [&](store::Session& session) -> Task<store::Verdict> {
    answer = co_await unit(session);
    co_return answer.ok() ? store::Verdict::kCommit : store::Verdict::kRollback;
  };
  auto verdict = runner.run(mode, work);
  if (!verdict.ok() && answer.ok()) return std::move(verdict).error();
  return answer;
}

Result<std::vector<std::string>> bucketIds(StoreRunner& runner) {
  std::vector<std::string> ids;
  auto unit = [&](store::Session& session) -> Task<Result<void>> {
    ids.clear();
    store::Ref list{"bucket", ""};
    std::string last;
    for (;;) {
      auto page = co_await pageOf(session, list, last);
      if (!page.ok()) co_return std::move(page).error();
      for (const store::Object& bucket : *page) ids.push_back(bucket.id);
      if (page->size() < kPage) co_return Result<void>();
      last = page->back().id;
    }
  };
  GODWIT_TRY(runOne(runner, store::Mode::kScan, unit));
  return ids;
}

}  // namespace

Result<std::vector<std::string>> rebuildQuotas(const Settings& settings, bool dry_run) {
  auto runner = StoreRunner::open(settings);
  if (!runner.ok()) return std::move(runner).error();
  auto ids = bucketIds(**runner);
  if (!ids.ok()) return std::move(ids).error();
  std::vector<std::string> lines;
  for (const std::string& id : *ids) {
    Rebuild rebuild(id, dry_run);
    auto unit = [&](store::Session& session) { return rebuild.run(session); };
    GODWIT_TRY(runOne(**runner, dry_run ? store::Mode::kScan : store::Mode::kWrite, unit));
    lines.insert(lines.end(), rebuild.lines.begin(), rebuild.lines.end());
  }
  return lines;
}

}  // namespace godwit::kinto
