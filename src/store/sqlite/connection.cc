#include "store/sqlite/connection.h"

#include <sqlite3.h>

#include <mutex>

namespace godwit::store::sqlite {
namespace {

// Rows are small and statements short: a look at the clock every so many VM steps costs nothing.
constexpr int kProgressSteps = 20000;

void configureLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Without this every allocation takes a process-wide mutex to keep statistics nobody reads.
    // Fails harmlessly when something else initialised SQLite before.
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  });
}

Error errorOf(int code, std::string detail) {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kUnavailable, "the storage is busy", std::move(detail)};
    case SQLITE_FULL:
      return {ErrorCode::kUnavailable, "the storage is full", std::move(detail)};
    case SQLITE_READONLY:
      return {ErrorCode::kUnavailable, "the storage is read-only", std::move(detail)};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorCode::kUnavailable, "the storage is unavailable", std::move(detail)};
    case SQLITE_INTERRUPT:
      return {ErrorCode::kTimeout, "the storage took too long", std::move(detail)};
    case SQLITE_TOOBIG:
      return {ErrorCode::kInvalid, "the value is too large", std::move(detail)};
    default:
      return {ErrorCode::kInternal, "internal error", std::move(detail)};
  }
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const ConnectionOptions& options) {
  configureLibrary();
  sqlite3* db = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int rc = sqlite3_open_v2(options.path.c_str(), &db, flags, nullptr);
  auto connection = std::unique_ptr<Connection>(new Connection(db));
  if (rc != SQLITE_OK) {
    Error e = errorOf(rc, db ? sqlite3_errmsg(db) : "out of memory");
    e.detail = "open " + options.path + ": " + e.detail;
    return e;
  }
  // Closing the last connection would checkpoint, outside the writer lock.
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Stored schemas of a hostile file must not run functions with side effects.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_busy_timeout(db, 20);
  sqlite3_progress_handler(db, kProgressSteps, &Connection::onProgress, connection.get());
  std::string cache = "PRAGMA cache_size=-" + std::to_string(options.cache_kib);
  GODWIT_TRY(connection->exec(cache.c_str()));
  GODWIT_TRY(connection->exec("PRAGMA temp_store=MEMORY"));
  if (options.role == Role::kWriter) {
    sqlite3_wal_hook(db, &Connection::onWal, connection.get());  // replaces wal_autocheckpoint
    GODWIT_TRY(connection->exec("PRAGMA synchronous=FULL"));
  } else {
    GODWIT_TRY(connection->exec("PRAGMA wal_autocheckpoint=0"));
    GODWIT_TRY(connection->exec("PRAGMA query_only=ON"));
  }
  return connection;
}

Connection::~Connection() {
  for (sqlite3_stmt* s : statements_) sqlite3_finalize(s);
  sqlite3_close(db_);
}

int Connection::onProgress(void* self) {
  return static_cast<Connection*>(self)->deadline_.expired() ? 1 : 0;
}

int Connection::onWal(void* self, sqlite3*, const char*, int pages) {
  static_cast<Connection*>(self)->wal_pages_ = static_cast<std::size_t>(pages);
  return SQLITE_OK;
}

Error Connection::lastError() const {
  int code = sqlite3_extended_errcode(db_);
  std::string detail = sqlite3_errmsg(db_);
  detail += " (" + std::to_string(code);
  if (int err = sqlite3_system_errno(db_)) detail += ", errno " + std::to_string(err);
  detail += ")";
  return errorOf(code, std::move(detail));
}

bool Connection::lastWasBusy() const {
  int code = sqlite3_errcode(db_) & 0xFF;
  return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

Result<void> Connection::exec(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return lastError();
  return {};
}

Result<void> Connection::exec(Sql which) {
  Cursor cursor(*this, which);
  auto stepped = cursor.step();
  if (!stepped.ok()) return stepped.error();
  return {};
}

Result<std::string> Connection::scalar(const char* sql) {
  sqlite3_stmt* s = nullptr;
  if (sqlite3_prepare_v2(db_, sql, -1, &s, nullptr) != SQLITE_OK) return lastError();
  std::string out;
  int rc = sqlite3_step(s);
  if (rc == SQLITE_ROW) {
    if (const auto* t = sqlite3_column_text(s, 0)) out = reinterpret_cast<const char*>(t);
  } else if (rc != SQLITE_DONE) {
    Error e = lastError();
    sqlite3_finalize(s);
    return e;
  }
  sqlite3_finalize(s);
  return out;
}

bool Connection::inTransaction() const { return sqlite3_get_autocommit(db_) == 0; }

bool Connection::checkpoint(Checkpoint kind) {
  int log = 0;
  int done = 0;
  int mode = kind == Checkpoint::kTruncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  if (sqlite3_wal_checkpoint_v2(db_, "main", mode, &log, &done) != SQLITE_OK) return false;
  return log == done;
}

sqlite3_stmt* Connection::statement(Sql which) {
  sqlite3_stmt*& s = statements_[static_cast<std::size_t>(which)];
  if (!s) {
    // On failure s stays null and the error stays with the connection.
    sqlite3_prepare_v3(db_, textOf(which), -1, SQLITE_PREPARE_PERSISTENT, &s, nullptr);
  }
  return s;
}

Cursor::Cursor(Connection& connection, Sql which)
    : connection_(connection), statement_(connection.statement(which)) {}

Cursor::~Cursor() {
  if (statement_) sqlite3_reset(statement_);
}

Cursor& Cursor::text(int index, std::string_view value) {
  if (statement_) {
    const char* data = value.data() ? value.data() : "";  // a null pointer would bind NULL
    sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  return *this;
}

Cursor& Cursor::blob(int index, std::string_view value) {
  if (statement_) {
    const char* data = value.data() ? value.data() : "";
    sqlite3_bind_blob64(statement_, index, data, value.size(), SQLITE_STATIC);
  }
  return *this;
}

Cursor& Cursor::integer(int index, std::int64_t value) {
  if (statement_) sqlite3_bind_int64(statement_, index, value);
  return *this;
}

Result<bool> Cursor::step() {
  if (!statement_) return connection_.lastError();
  int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return connection_.lastError();
}

Result<std::int64_t> Cursor::run() {
  auto stepped = step();
  if (!stepped.ok()) return stepped.error();
  return static_cast<std::int64_t>(sqlite3_changes64(connection_.db_));
}

std::int64_t Cursor::integerAt(int column) { return sqlite3_column_int64(statement_, column); }

std::string_view Cursor::textAt(int column) {
  const void* data = sqlite3_column_blob(statement_, column);  // text is UTF-8 already
  int size = sqlite3_column_bytes(statement_, column);
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

}  // namespace godwit::store::sqlite
