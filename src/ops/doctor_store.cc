#include <sqlite3.h>
#include <unistd.h>

#include <chrono>

#include "base/options.h"
#include "godwit/deadline.h"
#include "kinto/stores.h"
#include "ops/backup.h"
#include "ops/doctor.h"
#include "store/blocking_store.h"
#include "store/copy_source.h"
#include "store/postgresql/blocking.h"
#include "store/postgresql/options.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/schema.h"

namespace godwit::ops {
namespace {

constexpr std::chrono::seconds kPatience{5};
constexpr int kFixedSqlite = 3'051'003;  // checkpoint and commit of two connections, fixed

std::string describe(const Error& e) {
  return e.detail.empty() ? e.message : e.message + ": " + e.detail;
}

void examineSqliteLibrary(Findings& out) {
  bool fixed = sqlite3_libversion_number() >= kFixedSqlite;
  out.push_back({Level::kOk, "SQLite",
                 std::string("version ") + sqlite3_libversion() +
                     (fixed ? "" : "; its fault with two writers is kept away by the writer lock"),
                 ""});
}

void examineTimestamps(std::int64_t newest, Findings& out) {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  constexpr std::int64_t kAhead = 60'000;
  if (newest <= now + kAhead) return;
  out.push_back(
      {Level::kWarning, "clock",
       "the newest timestamp is " + std::to_string((newest - now) / 1000) + " s in the future",
       "was the clock ahead? New changes count up from there until it has caught up"});
}

void examineSqlite(const std::string& path, Findings& out) {
  examineSqliteLibrary(out);
  if (::access(path.c_str(), F_OK) != 0) {
    out.push_back({Level::kNote, "database", path + " is not there yet: serve makes it", ""});
    return;
  }
  store::sqlite::ConnectionOptions options;
  options.path = path;
  auto c = store::sqlite::Connection::open(options);
  if (!c.ok()) {
    out.push_back(
        {Level::kProblem, "database", describe(c.error()), "godwit restore, or the disk"});
    return;
  }
  (*c)->setDeadline(Deadline::after(kPatience));
  auto id = (*c)->scalar("PRAGMA application_id");
  if (!id.ok() || *id != std::to_string(store::sqlite::kApplicationId)) {
    out.push_back({Level::kProblem, "database",
                   path + (id.ok() ? " is not a Godwit database" : ": " + describe(id.error())),
                   "--data-dir with a folder of its own, or godwit restore"});
    return;
  }
  auto schema = (*c)->scalar("SELECT value FROM meta WHERE name = 'schema'");
  if (!schema.ok() || *schema != std::to_string(store::sqlite::kSchemaVersion)) {
    out.push_back({Level::kProblem, "database",
                   "schema version " + (schema.ok() ? *schema : describe(schema.error())) +
                       ", this program knows " + std::to_string(store::sqlite::kSchemaVersion),
                   "the program that wrote it, or godwit migrate"});
    return;
  }
  auto check = (*c)->scalar("PRAGMA quick_check(1)");
  if (check.ok() && *check != "ok") {
    out.push_back(
        {Level::kProblem, "database", path + " is damaged: " + *check, "godwit restore BACKUP"});
  } else if (!check.ok() && check.error().code == ErrorCode::kTimeout) {
    out.push_back({Level::kNote, "database", path + " is too large to be checked within 5 s",
                   "godwit backup FILE checks all of it"});
  } else if (!check.ok()) {
    out.push_back({Level::kProblem, "database", describe(check.error()), "godwit restore BACKUP"});
  } else {
    out.push_back({Level::kOk, "database", path + ", schema " + *schema, ""});
  }
  (*c)->setDeadline(Deadline::after(kPatience));
  auto newest = (*c)->scalar("SELECT max(last_modified) FROM lists");
  if (newest.ok()) examineTimestamps(parseInt(*newest).value_or(0), out);
  auto who = whoUses(path);
  if (who.ok() && *who != 0) {
    out.push_back({Level::kOk, "server",
                   *who > 0 ? "process " + std::to_string(*who) + " has the database open"
                            : "another process has the database open",
                   ""});
  }
}

void examinePostgres(const kinto::Settings& settings, const std::string& url, Findings& out) {
  auto db = store::postgresql::BlockingConnection::open(url, Deadline::after(kPatience));
  if (!db.ok()) {
    out.push_back({Level::kProblem, "database", describe(db.error()),
                   "check kinto.storage_url, and that the server runs and lets this user in"});
    return;
  }
  auto version = db->query("SHOW server_version");
  out.push_back({Level::kOk, "database",
                 store::postgresql::publicUrl(url) + ", PostgreSQL " +
                     (version.ok() && version->rows() > 0 ? std::string(version->text(0, 0)) : "?"),
                 ""});
  auto most = db->query("SELECT setting::bigint FROM pg_settings WHERE name = 'max_connections'");
  if (most.ok() && most->rows() > 0) {
    std::int64_t pool = settings.getInt("storage_pool_size", 25);
    bool good = most->int8(0, 0) > pool;
    out.push_back({good ? Level::kOk : Level::kWarning, "connections",
                   "the database takes " + std::to_string(most->int8(0, 0)) +
                       ", each loop of each server up to " + std::to_string(pool),
                   good ? "" : "lower kinto.storage_pool_size or raise max_connections"});
  }
}

void examineService(const kinto::Settings& settings, Findings& out) {
  auto opened = kinto::openStores(settings);
  if (!opened.ok()) {
    out.push_back({Level::kProblem, "stores", describe(opened.error()), "godwit migrate"});
    return;
  }
  bool writes = !settings.getBool("readonly");
  store::BlockingStore store(std::move(opened->backend), std::move(opened->cache));
  bool storage = store.ping(writes, Deadline::after(kPatience));
  out.push_back(
      {storage ? Level::kOk : Level::kProblem, "storage",
       std::string(storage ? "can be read" : "cannot be read") + (writes ? " and written" : ""),
       storage ? "" : "the log of godwit serve says why"});
  bool cache = store.pingCache(Deadline::after(kPatience));
  out.push_back({cache ? Level::kOk : Level::kProblem, "cache",
                 cache ? "answers" : "does not answer",
                 cache ? "" : "check kinto.cache_url, and that its server runs"});
}

}  // namespace

void examineStore(const kinto::Settings& settings, Findings& out) {
  auto url = kinto::storageUrl(settings);
  if (!url.ok()) {
    bool memory = url.error().code == ErrorCode::kUnsupported;
    out.push_back({memory ? Level::kNote : Level::kProblem, "database",
                   memory ? "memory: everything is gone when the server ends" : url.error().message,
                   ""});
    return;
  }
  std::size_t before = out.size();
  bool there = true;
  if (store::isSqliteUrl(*url)) {
    std::string path = store::sqlitePath(*url);
    examineSqlite(path, out);
    there = ::access(path.c_str(), F_OK) == 0;
  } else {
    examinePostgres(settings, *url, out);
  }
  for (std::size_t i = before; i < out.size(); ++i) {
    if (out[i].level == Level::kProblem) return;
  }
  if (there) examineService(settings, out);
}

}  // namespace godwit::ops
