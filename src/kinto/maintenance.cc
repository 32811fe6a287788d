// The commands that change a store without serving it.
#include <functional>

#include "auth/password.h"
#include "kinto/server.h"
#include "kinto/store_runner.h"
#include "store/postgresql/migrate.h"

namespace godwit::kinto {
namespace {

constexpr std::chrono::minutes kPatience{10};
constexpr std::chrono::seconds kStop{10};

using Unit = std::function<Task<Result<std::uint64_t>>(store::Session&)>;

// One write transaction that answers a number.
Result<std::uint64_t> write(const Settings& settings, const Unit& unit) {
  auto runner = StoreRunner::open(settings);
  if (!runner.ok()) return std::move(runner).error();
  Result<std::uint64_t> answer = std::uint64_t{0};
  auto work = [&](store::Session& session) -> Task<store::Verdict> {
    answer = co_await unit(session);
    co_return answer.ok() ? store::Verdict::kCommit : store::Verdict::kRollback;
  };
  auto verdict = (*runner)->run(store::Mode::kWrite, work);
  if (!verdict.ok() && answer.ok()) return std::move(verdict).error();
  return answer;
}

Result<std::vector<std::string>> migratePostgres(const Settings& settings, bool dry_run) {
  store::postgresql::MigrateRequest request;
  request.url = settings.getString("storage_url");
  request.storage = request.permission = true;
  std::string cache_url = settings.getString("cache_url", request.url);
  bool cache = settings.backend("cache_backend") == "postgresql";
  request.cache = cache && cache_url == request.url;
  request.dry_run = dry_run;
  std::vector<std::string> lines;
  auto run = [&lines](const store::postgresql::MigrateRequest& what) -> Result<void> {
    auto report = store::postgresql::migrate(what, Deadline::after(kPatience));
    if (!report.ok()) return std::move(report).error();
    lines.insert(lines.end(), report->warnings.begin(), report->warnings.end());
    lines.insert(lines.end(), report->steps.begin(), report->steps.end());
    if (what.dry_run && !report->sql.empty()) lines.push_back(report->sql);
    return {};
  };
  GODWIT_TRY(run(request));
  if (cache && !request.cache) {
    store::postgresql::MigrateRequest other;
    other.url = cache_url;
    other.cache = true;
    other.dry_run = dry_run;
    GODWIT_TRY(run(other));
  }
  if (lines.empty()) lines.push_back("postgresql storage and permissions are up to date");
  return lines;
}

}  // namespace

Result<std::vector<std::string>> migrate(const Settings& settings, bool dry_run) {
  std::vector<std::string> lines;
  if (settings.backend("storage_backend") == "postgresql")
    return migratePostgres(settings, dry_run);
  if (dry_run) {
    lines.push_back("would open the stores and bring their schema up to date");
    return lines;
  }
  // Opening a store creates or upgrades its schema.
  auto stores = openStores(settings);
  if (!stores.ok()) return stores.error();
  lines.push_back(stores->backend->name() +
                  " storage and permissions are up to date: " + stores->place);
  stores->backend->stop(Deadline::after(kStop));
  return lines;
}

Result<void> flushCache(const Settings& settings) {
  auto runner = StoreRunner::open(settings);
  if (!runner.ok()) return std::move(runner).error();
  auto flushed = (*runner)->flushCache();
  if (!flushed.ok()) return std::move(flushed).error();
  return {};
}

Result<void> createUser(const Settings& settings, const std::string& name,
                        const std::string& password) {
  auto hash = auth::hashPassword(password);
  if (!hash.ok()) return hash.error();
  std::string data = "{\"password\":";
  json::dumpString(data, *hash);
  data += '}';
  Unit unit = [&](store::Session& session) -> Task<Result<std::uint64_t>> {
    store::Ref ref{"account", name};
    store::Object object;
    object.id = name;
    object.data = data;
    auto updated = co_await session.update(ref, std::move(object));
    if (!updated.ok()) co_return updated.error();
    store::Ace ace{"/accounts/" + name, "write", "account:" + name};
    auto added = co_await session.addAce(ace);
    if (!added.ok()) co_return added.error();
    co_return std::uint64_t{1};
  };
  auto done = write(settings, unit);
  if (!done.ok()) return done.error();
  return {};
}

Result<std::uint64_t> purgeDeleted(const Settings& settings,
                                   const std::vector<std::string>& resources, std::uint64_t keep) {
  Unit unit = [&](store::Session& session) -> Task<Result<std::uint64_t>> {
    std::uint64_t total = 0;
    for (const std::string& resource : resources) {
      auto trimmed = co_await session.trimTombstones(resource, keep);
      if (!trimmed.ok()) co_return trimmed.error();
      total += *trimmed;
    }
    co_return total;
  };
  return write(settings, unit);
}

}  // namespace godwit::kinto
