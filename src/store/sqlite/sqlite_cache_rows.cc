#include "store/sqlite/sqlite_store.h"

// The cache table of SqliteStore. meta.cache_bytes holds the size of what is in it, so that the
// limit costs no scan.
namespace godwit::store::sqlite {

Result<std::int64_t> SqliteStore::cacheBytes() {
  Cursor c(connection_, Sql::kCacheBytes);
  auto row = c.step();
  if (!row.ok()) return failed(row.error());
  return *row ? c.integerAt(0) : std::int64_t{0};
}

Result<void> SqliteStore::setCacheBytes(std::int64_t bytes) {
  Cursor c(connection_, Sql::kCacheSetBytes);
  c.integer(1, bytes);
  GODWIT_TRY(run(c));
  return {};
}

Result<std::optional<std::string>> SqliteStore::cacheGet(std::string_view key) {
  Cursor c(connection_, Sql::kCacheGet);
  auto row = c.blob(1, key).integer(2, clock_.nowMs()).step();
  if (!row.ok()) return failed(row.error());
  std::optional<std::string> value;
  if (*row) value.emplace(c.textAt(0));
  return value;
}

Result<bool> SqliteStore::cacheSet(std::string_view key, std::string_view value,
                                   std::int64_t ttl_ms, std::size_t max_bytes) {
  std::size_t size = key.size() + value.size();
  if (size > max_bytes) return {ErrorCode::kLimit, "the value is larger than the cache"};
  auto old = cacheTake(key);
  if (!old.ok()) return old.error();
  auto bytes = cacheBytes();
  if (!bytes.ok()) return bytes.error();
  std::int64_t total = *bytes + static_cast<std::int64_t>(size);
  while (total > static_cast<std::int64_t>(max_bytes)) {
    std::int64_t n = 0;
    {
      Cursor c(connection_, Sql::kCacheOldest);
      auto row = c.step();
      if (!row.ok()) return failed(row.error());
      if (!*row) {
        total = static_cast<std::int64_t>(size);
        break;
      }
      n = c.integerAt(0);
      total -= c.integerAt(1);
    }
    Cursor c(connection_, Sql::kCacheDelete);
    c.integer(1, n);
    GODWIT_TRY(run(c));
  }
  Cursor c(connection_, Sql::kCachePut);
  c.blob(1, key).blob(2, value).integer(3, clock_.nowMs() + ttl_ms);
  GODWIT_TRY(run(c));
  GODWIT_TRY(setCacheBytes(total));
  return old->has_value();
}

Result<bool> SqliteStore::cacheExpire(std::string_view key, std::int64_t ttl_ms) {
  GODWIT_TRY(touch());
  std::int64_t now = clock_.nowMs();
  Cursor c(connection_, Sql::kCacheExpire);
  auto n = run(c.blob(1, key).integer(2, now + ttl_ms).integer(3, now));
  if (!n.ok()) return n.error();
  return *n != 0;
}

Result<std::optional<std::string>> SqliteStore::cacheTake(std::string_view key) {
  GODWIT_TRY(touch());
  std::optional<std::string> value;
  std::int64_t n = 0;
  std::int64_t size = 0;
  {
    Cursor c(connection_, Sql::kCacheRow);
    auto row = c.blob(1, key).step();
    if (!row.ok()) return failed(row.error());
    if (!*row) return value;
    n = c.integerAt(0);
    size = c.integerAt(3);
    if (c.integerAt(2) > clock_.nowMs()) value.emplace(c.textAt(1));
  }
  auto bytes = cacheBytes();
  if (!bytes.ok()) return bytes.error();
  Cursor c(connection_, Sql::kCacheDelete);
  c.integer(1, n);
  GODWIT_TRY(run(c));
  GODWIT_TRY(setCacheBytes(*bytes - size));
  return value;
}

Result<bool> SqliteStore::cacheFlush() {
  GODWIT_TRY(touch());
  bool any = false;
  {
    Cursor c(connection_, Sql::kCacheOldest);
    auto row = c.step();
    if (!row.ok()) return failed(row.error());
    any = *row;
  }
  Cursor c(connection_, Sql::kCacheClear);
  GODWIT_TRY(run(c));
  GODWIT_TRY(setCacheBytes(0));
  return any;
}

Result<void> SqliteStore::heartbeat() {
  GODWIT_TRY(touch());
  Cursor c(connection_, Sql::kHeartbeat);
  c.integer(1, clock_.nowMs());
  GODWIT_TRY(run(c));
  return {};
}

Result<void> SqliteStore::probe() {
  Cursor c(connection_, Sql::kProbe);
  auto row = c.step();
  if (!row.ok()) return failed(row.error());
  if (!*row) return {ErrorCode::kUnavailable, "the storage is unavailable", "no schema row"};
  return {};
}

}  // namespace godwit::store::sqlite
