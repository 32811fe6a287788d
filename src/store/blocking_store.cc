#include "store/blocking_store.h"

#include <future>

#include "store/copy_source.h"
#include "store/postgresql/backend.h"
#include "store/postgresql/migrate.h"
#include "store/sqlite/sqlite.h"

namespace godwit::store {
namespace {

constexpr std::chrono::seconds kUnitTime{60};
constexpr std::chrono::seconds kStop{10};

}  // namespace

Result<std::unique_ptr<BlockingStore>> BlockingStore::open(const std::string& url) {
  if (isSqliteUrl(url)) {
    auto stores = openSqlite(SqliteOptions(sqlitePath(url)));
    if (!stores.ok()) return std::move(stores).error();
    return std::make_unique<BlockingStore>(std::move(stores->backend), std::move(stores->cache));
  }
  if (!postgresql::isPostgresUrl(url)) {
    return Error(ErrorCode::kInvalid, "'" + url + "' is neither sqlite:path nor postgresql://... ");
  }
  auto state = postgresql::inspect(url, Deadline::after(kStop));
  if (!state.ok()) return std::move(state).error();
  GODWIT_TRY(postgresql::checkServable(*state, true, true, false));
  postgresql::Options options(postgresql::libpqUrl(url));
  options.pool_size = 2;
  auto backend = std::make_unique<postgresql::PgBackend>(options);
  return std::make_unique<BlockingStore>(std::move(backend), nullptr);
}

BlockingStore::BlockingStore(std::unique_ptr<Backend> backend, std::unique_ptr<Cache> cache)
    : cache_(std::move(cache)), backend_(std::move(backend)), thread_([this] { loop_.run(); }) {}

BlockingStore::~BlockingStore() {
  backend_->stop(Deadline::after(kStop));
  if (cache_) cache_->stop(Deadline::after(kStop));
  loop_.stop();
  thread_.join();
}

Result<Verdict> BlockingStore::run(Mode mode, const Work& work, Deadline deadline) {
  std::promise<Result<Verdict>> answer;
  loop_.post([&] {
    backend_->run(mode, loop_, deadline, work,
                  [&](Result<Verdict> v) { answer.set_value(std::move(v)); });
  });
  return answer.get_future().get();
}

Result<Verdict> BlockingStore::run(Mode mode, const Work& work) {
  return run(mode, work, Deadline::after(kUnitTime));
}

Result<void> BlockingStore::write(const Work& work) {
  auto done = run(Mode::kWrite, work);
  if (!done.ok()) return std::move(done).error();
  if (*done != Verdict::kCommit) return Error(ErrorCode::kInternal, "the target refused a row");
  return {};
}

Result<void> BlockingStore::forget(const std::string& key) {
  if (!cache_) return {};
  std::promise<Result<void>> answer;
  loop_.post([&] {
    cache_->take(loop_, key, [&](auto taken) {
      answer.set_value(taken.ok() ? Result<void>() : Result<void>(taken.error()));
    });
  });
  return answer.get_future().get();
}

bool BlockingStore::ping(bool write, Deadline deadline) {
  std::promise<bool> answer;
  loop_.post(
      [&] { backend_->ping(loop_, deadline, write, [&](bool ok) { answer.set_value(ok); }); });
  return answer.get_future().get();
}

bool BlockingStore::pingCache(Deadline deadline) {
  if (!cache_) return true;
  std::promise<bool> answer;
  loop_.post([&] { cache_->ping(loop_, deadline, [&](bool ok) { answer.set_value(ok); }); });
  return answer.get_future().get();
}

}  // namespace godwit::store
