#include "store/copy_source.h"

#include <sqlite3.h>

#include <unistd.h>

#include "json/text.h"
#include "store/postgresql/blocking.h"
#include "store/postgresql/options.h"

namespace godwit::store {

namespace {

// --- SQLite: the tables of docs/formats/sqlite.md

class SqliteSource final : public CopySource {
 public:
  explicit SqliteSource(sqlite3* db) : db_(db) {}
  ~SqliteSource() override { sqlite3_close_v2(db_); }
  SqliteSource(const SqliteSource&) = delete;
  SqliteSource& operator=(const SqliteSource&) = delete;

  Result<void> begin() {
    if (sqlite3_exec(db_, "BEGIN; SELECT count(*) FROM lists", nullptr, nullptr, nullptr) !=
        SQLITE_OK) {
      return failed();
    }
    return {};
  }

  Result<std::vector<List>> lists() override {
    std::vector<List> out;
    auto r = rows(
        "SELECT parent, resource, last_modified, (SELECT count(*) FROM objects o WHERE"
        " o.list = l.id) FROM lists l ORDER BY parent, resource",
        [](sqlite3_stmt*) {},
        [&](sqlite3_stmt* s) {
          List& l = out.emplace_back();
          l.ref.parent = text(s, 0);
          l.ref.resource = text(s, 1);
          l.timestamp = sqlite3_column_int64(s, 2);
          l.rows = static_cast<std::uint64_t>(sqlite3_column_int64(s, 3));
        });
    if (!r.ok()) return std::move(r).error();
    return out;
  }

  Result<std::vector<Object>> objects(const Ref& ref, Timestamp after, std::size_t limit) override {
    std::vector<Object> out;
    auto r = rows(
        "SELECT o.id, o.last_modified, o.deleted, o.data FROM objects o JOIN lists l"
        " ON l.id = o.list WHERE l.parent = ?1 AND l.resource = ?2"
        " AND o.last_modified > ?3 ORDER BY o.last_modified LIMIT ?4",
        [&](sqlite3_stmt* s) {
          bind(s, 1, ref.parent);
          bind(s, 2, ref.resource);
          sqlite3_bind_int64(s, 3, after);
          sqlite3_bind_int64(s, 4, static_cast<sqlite3_int64>(limit));
        },
        [&](sqlite3_stmt* s) {
          Object& o = out.emplace_back();
          o.id = text(s, 0);
          o.last_modified = sqlite3_column_int64(s, 1);
          o.deleted = sqlite3_column_int64(s, 2) != 0;
          if (!o.deleted) o.data = text(s, 3);
        });
    if (!r.ok()) return std::move(r).error();
    return out;
  }

  Result<std::vector<Ace>> aces(const Ace& after, std::size_t limit) override {
    std::vector<Ace> out;
    auto r = rows(
        "SELECT scope || name AS uri, permission, principal FROM aces"
        " WHERE (scope || name, permission, principal) > (?1, ?2, ?3)"
        " ORDER BY uri, permission, principal LIMIT ?4",
        [&](sqlite3_stmt* s) {
          bind(s, 1, after.uri);
          bind(s, 2, after.permission);
          bind(s, 3, after.principal);
          sqlite3_bind_int64(s, 4, static_cast<sqlite3_int64>(limit));
        },
        [&](sqlite3_stmt* s) {
          Ace& a = out.emplace_back();
          a.uri = text(s, 0);
          a.permission = text(s, 1);
          a.principal = text(s, 2);
        });
    if (!r.ok()) return std::move(r).error();
    return out;
  }

  Result<std::vector<Ace>> acesOf(const std::vector<std::string>& uris) override {
    std::vector<Ace> out;
    for (const std::string& uri : uris) {
      std::size_t cut = uri.rfind('/') + 1;
      auto r = rows(
          "SELECT permission, principal FROM aces WHERE scope = ?1 AND name = ?2",
          [&](sqlite3_stmt* s) {
            bind(s, 1, uri.substr(0, cut));
            bind(s, 2, uri.substr(cut));
          },
          [&](sqlite3_stmt* s) {
            Ace& a = out.emplace_back();
            a.uri = uri;
            a.permission = text(s, 0);
            a.principal = text(s, 1);
          });
      if (!r.ok()) return std::move(r).error();
    }
    return out;
  }

  Result<std::vector<Membership>> memberships(const Membership& after, std::size_t limit) override {
    std::vector<Membership> out;
    auto r = rows(
        "SELECT user, principal FROM user_principals WHERE (user, principal) > (?1, ?2)"
        " ORDER BY user, principal LIMIT ?3",
        [&](sqlite3_stmt* s) {
          bind(s, 1, after.user);
          bind(s, 2, after.principal);
          sqlite3_bind_int64(s, 3, static_cast<sqlite3_int64>(limit));
        },
        [&](sqlite3_stmt* s) {
          Membership& m = out.emplace_back();
          m.user = text(s, 0);
          m.principal = text(s, 1);
        });
    if (!r.ok()) return std::move(r).error();
    return out;
  }

 private:
  static std::string text(sqlite3_stmt* s, int col) {
    const auto* p = reinterpret_cast<const char*>(sqlite3_column_text(s, col));
    return p ? std::string(p, static_cast<std::size_t>(sqlite3_column_bytes(s, col))) : "";
  }
  static void bind(sqlite3_stmt* s, int at, const std::string& v) {
    sqlite3_bind_text(s, at, v.data(), static_cast<int>(v.size()), SQLITE_TRANSIENT);
  }
  Error failed() const {
    return Error(ErrorCode::kOs, "cannot read the SQLite file", sqlite3_errmsg(db_));
  }
  template <class Bind, class Row>
  Result<void> rows(const char* sql, Bind bindings, Row row) {
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v2(db_, sql, -1, &s, nullptr) != SQLITE_OK) return failed();
    bindings(s);
    int step = SQLITE_ROW;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) row(s);
    sqlite3_finalize(s);
    if (step != SQLITE_DONE) return failed();
    return {};
  }

  sqlite3* db_;
};

// --- PostgreSQL: Kinto's tables

class PostgresSource final : public CopySource {
 public:
  explicit PostgresSource(postgresql::BlockingConnection db) : db_(std::move(db)) {}

  Result<void> begin() { return db_.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); }

  Result<std::vector<List>> lists() override {
    auto r = db_.query(
        "SELECT parent_id, resource_name, max(t), sum(n)::bigint FROM ("
        "SELECT parent_id, resource_name, max(last_modified) AS t, count(*) AS n FROM objects"
        " GROUP BY 1, 2 UNION ALL"
        " SELECT parent_id, resource_name, last_modified, 0 FROM timestamps) x"
        " WHERE resource_name <> '__heartbeat__' GROUP BY 1, 2"
        " ORDER BY parent_id COLLATE \"C\", resource_name COLLATE \"C\"");
    if (!r.ok()) return std::move(r).error();
    std::vector<List> out;
    for (int i = 0; i < r->rows(); ++i) {
      List& l = out.emplace_back();
      l.ref.parent = r->text(i, 0);
      l.ref.resource = r->text(i, 1);
      l.timestamp = r->millis(i, 2);
      l.rows = static_cast<std::uint64_t>(r->int8(i, 3));
    }
    return out;
  }

  Result<std::vector<Object>> objects(const Ref& ref, Timestamp after, std::size_t limit) override {
    postgresql::Params p;
    p.text(ref.parent).text(ref.resource).integer(after).integer(static_cast<std::int64_t>(limit));
    auto r = db_.query(
        // The first comparison is for the index; as_epoch rounds, so the second decides.
        "SELECT id, last_modified, deleted, data FROM objects WHERE parent_id = $1"
        " AND resource_name = $2 AND last_modified > from_epoch($3::bigint - 1)"
        " AND as_epoch(last_modified) > $3::bigint"
        " ORDER BY last_modified LIMIT $4::bigint",
        p);
    if (!r.ok()) return std::move(r).error();
    std::vector<Object> out;
    for (int i = 0; i < r->rows(); ++i) {
      Object& o = out.emplace_back();
      o.id = r->text(i, 0);
      o.last_modified = r->millis(i, 1);
      o.deleted = r->boolean(i, 2);
      if (o.deleted) continue;
      o.data.clear();
      json::canonicalTo(o.data, r->jsonb(i, 3));
    }
    return out;
  }

  Result<std::vector<Ace>> aces(const Ace& after, std::size_t limit) override {
    postgresql::Params p;
    p.text(after.uri).text(after.permission).text(after.principal);
    p.integer(static_cast<std::int64_t>(limit));
    auto r = db_.query(
        "SELECT object_id, permission, principal FROM access_control_entries WHERE"
        " (object_id, permission COLLATE \"C\", principal COLLATE \"C\") > ($1, $2, $3)"
        " ORDER BY object_id, permission COLLATE \"C\", principal COLLATE \"C\" LIMIT $4::bigint",
        p);
    if (!r.ok()) return std::move(r).error();
    std::vector<Ace> out;
    for (int i = 0; i < r->rows(); ++i) {
      Ace& a = out.emplace_back();
      a.uri = r->text(i, 0);
      a.permission = r->text(i, 1);
      a.principal = r->text(i, 2);
    }
    return out;
  }

  Result<std::vector<Ace>> acesOf(const std::vector<std::string>& uris) override {
    std::vector<Ace> out;
    if (uris.empty()) return out;
    postgresql::Params p;
    p.array(uris);
    auto r = db_.query(
        "SELECT object_id, permission, principal FROM access_control_entries"
        " WHERE object_id = ANY($1::text[])",
        p);
    if (!r.ok()) return std::move(r).error();
    for (int i = 0; i < r->rows(); ++i) {
      Ace& a = out.emplace_back();
      a.uri = r->text(i, 0);
      a.permission = r->text(i, 1);
      a.principal = r->text(i, 2);
    }
    return out;
  }

  Result<std::vector<Membership>> memberships(const Membership& after, std::size_t limit) override {
    postgresql::Params p;
    p.text(after.user).text(after.principal).integer(static_cast<std::int64_t>(limit));
    auto r = db_.query(
        "SELECT user_id, principal FROM user_principals WHERE"
        " (user_id, principal COLLATE \"C\") > ($1, $2)"
        " ORDER BY user_id, principal COLLATE \"C\" LIMIT $3::bigint",
        p);
    if (!r.ok()) return std::move(r).error();
    std::vector<Membership> out;
    for (int i = 0; i < r->rows(); ++i) {
      Membership& m = out.emplace_back();
      m.user = r->text(i, 0);
      m.principal = r->text(i, 1);
    }
    return out;
  }

 private:
  postgresql::BlockingConnection db_;
};

}  // namespace

bool isSqliteUrl(std::string_view url) { return url.starts_with("sqlite:"); }

std::string sqlitePath(std::string_view url) {
  url.remove_prefix(7);
  // sqlite:///rel and sqlite:////abs as SQLAlchemy writes them; sqlite:path as people do.
  if (url.starts_with("///")) url.remove_prefix(3);
  return std::string(url);
}

Result<std::unique_ptr<CopySource>> openSqliteSource(const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0) {
    return Error(ErrorCode::kNotFound, "cannot read " + path);
  }
  sqlite3* db = nullptr;
  // Read and write: the first reader of a write-ahead log may have to make its index.
  int opened = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  auto source = std::make_unique<SqliteSource>(db);
  if (opened != SQLITE_OK)
    return Error(ErrorCode::kOs, "cannot open " + path, sqlite3_errstr(opened));
  // Closing the last connection would checkpoint, outside the writer lock.
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_busy_timeout(db, 5000);
  GODWIT_TRY(source->begin());
  return std::unique_ptr<CopySource>(std::move(source));
}

Result<std::unique_ptr<CopySource>> openPostgresSource(const std::string& url, Deadline deadline) {
  auto db = postgresql::BlockingConnection::open(url, deadline);
  if (!db.ok()) return std::move(db).error();
  auto source = std::make_unique<PostgresSource>(std::move(*db));
  GODWIT_TRY(source->begin());
  return std::unique_ptr<CopySource>(std::move(source));
}

Result<std::unique_ptr<CopySource>> openCopySource(const std::string& url, Deadline deadline) {
  if (isSqliteUrl(url)) return openSqliteSource(sqlitePath(url));
  if (postgresql::isPostgresUrl(url)) return openPostgresSource(url, deadline);
  return Error(ErrorCode::kInvalid, "'" + url + "' is neither sqlite:path nor postgresql://... ");
}

}  // namespace godwit::store
