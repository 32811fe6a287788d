#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/deadline.h"
#include "godwit/result.h"
#include "store/sqlite/sql.h"

struct sqlite3;
struct sqlite3_stmt;

namespace godwit::store::sqlite {

enum class Role : std::uint8_t { kWriter, kReader };

struct ConnectionOptions {
  std::string path;
  Role role = Role::kReader;
  std::size_t cache_kib = 2048;
};

// One database connection with its prepared statements. One thread at a time.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const ConnectionOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Statements running when it passes are interrupted (kTimeout).
  void setDeadline(Deadline deadline) { deadline_ = deadline; }
  Result<void> exec(const char* sql);           // no parameters, no rows
  Result<void> exec(Sql statement);             // the same, prepared
  Result<std::string> scalar(const char* sql);  // first column of the first row, "" without rows
  [[nodiscard]] bool inTransaction() const;

  // Pages in the write-ahead log after this connection's last commit.
  [[nodiscard]] std::size_t walPages() const { return wal_pages_; }
  enum class Checkpoint : std::uint8_t { kPassive, kTruncate };
  // Under the writer lock only. True when the whole log was copied.
  bool checkpoint(Checkpoint kind);

  // Of the statement that failed last. Logged by callers that give up.
  Error lastError() const;
  [[nodiscard]] bool lastWasBusy() const;

  sqlite3* raw() { return db_; }

 private:
  friend class Cursor;
  explicit Connection(sqlite3* db) : db_(db) {}
  sqlite3_stmt* statement(Sql which);
  static int onProgress(void* self);
  static int onWal(void* self, sqlite3* db, const char* name, int pages);

  sqlite3* db_;
  std::array<sqlite3_stmt*, kSqlCount> statements_{};
  Deadline deadline_ = Deadline::never();  // set by every unit of work
  std::size_t wal_pages_ = 0;
};

// A prepared statement in use; resets it when destroyed. Bound text must stay valid until then, and
// text read until the next step.
class Cursor {
 public:
  Cursor(Connection& connection, Sql which);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  Cursor& text(int index, std::string_view value);
  Cursor& blob(int index, std::string_view value);
  Cursor& integer(int index, std::int64_t value);

  // True: a row is there.
  Result<bool> step();
  // For statements without rows. How many rows changed.
  Result<std::int64_t> run();

  [[nodiscard]] std::int64_t integerAt(int column);
  [[nodiscard]] std::string_view textAt(int column);  // blobs as well

 private:
  Connection& connection_;
  sqlite3_stmt* statement_;
};

}  // namespace godwit::store::sqlite
