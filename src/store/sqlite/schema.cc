#include "store/sqlite/schema.h"

#include <string>

namespace godwit::store::sqlite {
namespace {

// docs/formats/sqlite.md explains each table. Indexes: one object per id and one per timestamp in a
// list; both are looked up all the time.
constexpr const char* kTables = R"sql(
CREATE TABLE meta (
  name TEXT PRIMARY KEY NOT NULL,
  value NOT NULL
) WITHOUT ROWID;
CREATE TABLE lists (
  id INTEGER PRIMARY KEY,
  parent TEXT NOT NULL,
  resource TEXT NOT NULL,
  last_modified INTEGER NOT NULL,
  live INTEGER NOT NULL,
  tombstones INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE UNIQUE INDEX lists_by_name ON lists (parent, resource);
CREATE TABLE objects (
  n INTEGER PRIMARY KEY,
  list INTEGER NOT NULL,
  id TEXT NOT NULL,
  last_modified INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  data TEXT NOT NULL
);
CREATE UNIQUE INDEX objects_by_id ON objects (list, id);
CREATE UNIQUE INDEX objects_by_time ON objects (list, last_modified DESC);
CREATE TABLE user_principals (
  user TEXT NOT NULL,
  principal TEXT NOT NULL,
  PRIMARY KEY (user, principal)
) WITHOUT ROWID;
CREATE INDEX user_principals_by_principal ON user_principals (principal);
CREATE TABLE aces (
  n INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  name TEXT NOT NULL,
  permission TEXT NOT NULL,
  principal TEXT NOT NULL
);
CREATE UNIQUE INDEX aces_by_uri ON aces (scope, name, permission, principal);
CREATE INDEX aces_by_principal ON aces (principal, scope);
CREATE TABLE cache (
  n INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  expires INTEGER NOT NULL
);
CREATE UNIQUE INDEX cache_by_key ON cache (key);
INSERT INTO meta (name, value) VALUES ('schema', 1), ('heartbeat', 0), ('cache_bytes', 0);
)sql";

Result<void> create(Connection& c) {
  // Outside the transaction: the journal mode cannot change inside one, and lasts.
  auto mode = c.scalar("PRAGMA journal_mode=WAL");
  if (!mode.ok()) return mode.error();
  if (*mode != "wal") {
    return {ErrorCode::kUnsupported, "the file system cannot hold a write-ahead log",
            "journal_mode is " + *mode};
  }
  GODWIT_TRY(c.exec("BEGIN IMMEDIATE"));
  Result<void> made = c.exec(kTables);
  if (made.ok()) {
    std::string id = "PRAGMA application_id=" + std::to_string(kApplicationId);
    made = c.exec(id.c_str());
  }
  if (made.ok()) made = c.exec("COMMIT");
  if (!made.ok() && c.inTransaction()) (void)c.exec("ROLLBACK");
  return made;
}

Error notOurs(const std::string& why) {
  return {ErrorCode::kInvalid, "not a Godwit database", why};
}

}  // namespace

Result<void> prepareSchema(Connection& c) {
  auto id = c.scalar("PRAGMA application_id");
  if (!id.ok()) return id.error();
  auto tables = c.scalar("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.error();
  if (*id == "0" && *tables == "0") return create(c);
  if (*id != std::to_string(kApplicationId)) return notOurs("application_id is " + *id);

  auto version = c.scalar("SELECT value FROM meta WHERE name = 'schema'");
  if (!version.ok()) return notOurs("no schema version: " + version.error().detail);
  if (*version != std::to_string(kSchemaVersion)) {
    return {ErrorCode::kUnsupported, "the database has schema version " + *version +
                                         ", this program knows " + std::to_string(kSchemaVersion)};
  }
  auto mode = c.scalar("PRAGMA journal_mode=WAL");
  if (!mode.ok()) return mode.error();
  return {};
}

}  // namespace godwit::store::sqlite
