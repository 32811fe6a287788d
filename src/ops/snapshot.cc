#include "ops/snapshot.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "base/options.h"
#include "base/os_error.h"
#include "godwit/deadline.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/schema.h"

namespace godwit::ops {
namespace {

using store::sqlite::Connection;
using store::sqlite::ConnectionOptions;
using store::sqlite::Role;

constexpr std::chrono::seconds kLockWait{10};

Error described(const std::string& path, const Error& why) {
  return Error(why.code, path + ": " + why.message + (why.detail.empty() ? "" : ": " + why.detail));
}

Result<std::unique_ptr<Connection>> openDatabase(const std::string& path, Role role) {
  if (::access(path.c_str(), F_OK) != 0) return osError("open " + path);
  ConnectionOptions options;
  options.path = path;
  options.role = role;
  auto connection = Connection::open(options);
  if (!connection.ok()) return described(path, connection.error());
  return connection;
}

Result<void> expectOurs(Connection& c, const std::string& path) {
  auto id = c.scalar("PRAGMA application_id");
  if (!id.ok()) return described(path, id.error());
  if (*id == std::to_string(store::sqlite::kApplicationId)) return {};
  return Error(ErrorCode::kInvalid, path + " is not a Godwit database");
}

std::uint64_t count(Connection& c, const char* sql) {
  auto n = c.scalar(sql);
  return n.ok() ? static_cast<std::uint64_t>(parseInt(*n).value_or(0)) : 0;
}

}  // namespace

Result<void> takeSnapshot(const std::string& database, const std::string& to) {
  auto c = openDatabase(database, Role::kReader);
  if (!c.ok()) return std::move(c).error();
  GODWIT_TRY(expectOurs(**c, database));
  UniqueFd fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return osError("open " + to);
  fd.reset();
  // Reads this database only, but is a write to SQLite.
  GODWIT_TRY((*c)->exec("PRAGMA query_only=OFF"));
  std::string quoted;
  for (char ch : to) quoted += ch == '\'' ? std::string("''") : std::string(1, ch);
  std::string sql = "VACUUM INTO '" + quoted + "'";
  auto done = (*c)->exec(sql.c_str());
  if (!done.ok()) return described(to, done.error());
  return {};
}

Result<void> checkDatabase(const std::string& path, BackupInfo& info) {
  auto c = openDatabase(path, Role::kReader);
  if (!c.ok()) return std::move(c).error();
  GODWIT_TRY(expectOurs(**c, path));
  auto check = (*c)->scalar("PRAGMA integrity_check(1)");
  if (!check.ok()) return described(path, check.error());
  if (*check != "ok") return Error(ErrorCode::kInvalid, path + " is damaged: " + *check);
  auto schema = (*c)->scalar("SELECT value FROM meta WHERE name = 'schema'");
  if (!schema.ok()) return described(path, schema.error());
  info.schema = static_cast<int>(parseInt(*schema).value_or(0));
  if (info.schema > store::sqlite::kSchemaVersion) {
    return Error(ErrorCode::kUnsupported, path + " has schema version " + *schema +
                                              ", this program knows " +
                                              std::to_string(store::sqlite::kSchemaVersion));
  }
  info.objects = count(**c, "SELECT count(*) FROM objects WHERE deleted = 0");
  info.tombstones = count(**c, "SELECT count(*) FROM objects WHERE deleted <> 0");
  return {};
}

Result<store::sqlite::WriterLock> holdWriterLock(const std::string& database) {
  auto lock = store::sqlite::WriterLock::open(database);
  if (!lock.ok()) return lock;
  Deadline deadline = Deadline::after(kLockWait);
  std::mutex mu;
  std::condition_variable never;
  std::unique_lock hold(mu);
  while (!lock->tryAcquire()) {
    if (deadline.expired()) {
      return Error(ErrorCode::kUnavailable, "another process writes to " + database);
    }
    never.wait_for(hold, std::chrono::milliseconds(1));
  }
  return lock;
}

Result<void> foldLog(const std::string& database, const std::string& kept) {
  bool folded = false;
  if (auto c = openDatabase(database, Role::kWriter); c.ok()) {
    folded = (*c)->scalar("SELECT count(*) FROM sqlite_schema").ok() &&
             (*c)->checkpoint(Connection::Checkpoint::kTruncate);
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    std::string path = database + suffix;
    if (folded) {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return osError("remove " + path);
    } else if (std::rename(path.c_str(), (kept + suffix).c_str()) != 0 && errno != ENOENT) {
      return osError("rename " + path);
    }
  }
  return {};
}

}  // namespace godwit::ops
