#include "store/conformance.h"
#include "store/sqlite/scratch.h"
#include "store/sqlite/sqlite.h"

namespace godwit::store {
namespace {

Factory sqliteFactory() {
  Factory f;
  f.name = "sqlite";
  f.open = []() -> std::optional<Opened> {
    auto scratch = std::make_shared<Scratch>();
    SqliteOptions options(scratch->file("godwit.db"));
    options.cache_max_bytes = 64 << 10;
    auto stores = openSqlite(options);
    if (!stores.ok()) {
      ADD_FAILURE() << stores.error().message;
      return std::nullopt;
    }
    Opened o;
    o.backend = std::move(stores->backend);
    o.cache = std::move(stores->cache);
    o.keep = std::move(scratch);
    return o;
  };
  return f;
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, testing::Values(sqliteFactory()), factoryName);
INSTANTIATE_TEST_SUITE_P(Sqlite, CacheConformance, testing::Values(sqliteFactory()), factoryName);

}  // namespace
}  // namespace godwit::store
