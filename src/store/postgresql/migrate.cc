#include "store/postgresql/migrate.h"

#include "store/postgresql/blocking.h"
#include "store/postgresql/options.h"
#include "store/postgresql/schema.h"

namespace godwit::store::postgresql {

namespace {

// In the schemas the session would find its tables in.
constexpr const char* kTablesThere =
    "SELECT to_regclass('objects') IS NOT NULL OR to_regclass('records') IS NOT NULL,"
    " to_regclass('user_principals') IS NOT NULL, to_regclass('cache') IS NOT NULL,"
    " to_regclass('metadata') IS NOT NULL,"
    " upper(COALESCE((SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'), 'UTC'))"
    " IN ('UTC', 'ETC/UTC', 'GMT', 'UCT', 'ZULU'),"
    " current_setting('server_encoding')";
constexpr const char* kVersion =
    "SELECT max(value::bigint) FROM metadata WHERE name = $1 AND value ~ '^[0-9]{1,9}$'";

// A database from before versions were written down.
constexpr int kUnversioned = 1;

Result<std::optional<int>> versionOf(BlockingConnection& db, const char* name) {
  Params p;
  p.text(name);
  auto r = db.query(kVersion, p);
  if (!r.ok()) return std::move(r).error();
  if (r->null(0, 0)) return std::optional<int>();
  return std::optional<int>(static_cast<int>(r->int8(0, 0)));
}

Result<SchemaState> inspectWith(BlockingConnection& db) {
  auto there = db.query(kTablesThere);
  if (!there.ok()) return std::move(there).error();
  if (there->text(0, 5) != "UTF8") {
    return Error(ErrorCode::kUnsupported, "the database's encoding is " +
                                              std::string(there->text(0, 5)) +
                                              "; create it with ENCODING 'UTF8'");
  }
  SchemaState state;
  state.cache = there->boolean(0, 2);
  state.utc = there->boolean(0, 4);
  bool metadata = there->boolean(0, 3);
  if (there->boolean(0, 0)) {
    state.storage = kUnversioned;
    if (metadata) {
      auto v = versionOf(db, "storage_schema_version");
      if (!v.ok()) return std::move(v).error();
      state.storage = v->value_or(kUnversioned);
    }
  }
  if (there->boolean(0, 1)) {
    state.permission = kUnversioned;
    if (metadata) {
      auto v = versionOf(db, "permission_schema_version");
      if (!v.ok()) return std::move(v).error();
      state.permission = v->value_or(kUnversioned);
    }
  }
  return state;
}

Error unknownVersion(std::string_view what, int found, int known) {
  std::string text =
      "the database's " + std::string(what) + " schema has version " + std::to_string(found);
  if (found > known) {
    text += ", newer than the " + std::to_string(known) +
            " this program knows (hint: use a newer godwit)";
  } else {
    text += ", too old to upgrade from (hint: bring it to version " +
            std::to_string(schema::kOldestStorage) + " with `kinto migrate` first)";
  }
  return Error(ErrorCode::kUnsupported, text);
}

struct Planner {
  MigrateReport& report;

  void add(std::string step, std::string_view sql) {
    report.sql += "-- " + step + "\n";
    report.sql += sql;
    report.steps.push_back(std::move(step));
  }

  Result<void> component(std::string_view what, std::optional<int> found, int known, int oldest,
                         std::string_view create, std::string_view (*upgrade)(int)) {
    std::string name(what);
    if (!found) {
      add("create " + name + " schema version " + std::to_string(known), create);
      return {};
    }
    if (*found > known || *found < oldest) return unknownVersion(what, *found, known);
    for (int v = *found; v < known; ++v) {
      add("upgrade " + name + " schema from version " + std::to_string(v) + " to " +
              std::to_string(v + 1),
          upgrade(v));
    }
    return {};
  }
};

}  // namespace

Result<MigrateReport> migrate(const MigrateRequest& request, Deadline deadline) {
  auto db = BlockingConnection::open(request.url, deadline);
  if (!db.ok()) return std::move(db).error();
  GODWIT_TRY(db->script("BEGIN"));
  // Two migrations at once would both find nothing.
  if (!request.dry_run) {
    GODWIT_TRY(db->script("SELECT pg_advisory_xact_lock(hashtext('godwit migrate'))"));
  }
  auto state = inspectWith(*db);
  if (!state.ok()) return std::move(state).error();

  MigrateReport report;
  Planner plan{report};
  if (!state->utc) {
    report.warnings.emplace_back(
        "the database's time zone is not UTC; Kinto would write other timestamps than Godwit");
  }
  if (request.storage) {
    GODWIT_TRY(plan.component("storage", state->storage, schema::kStorageVersion,
                              schema::kOldestStorage, schema::createStorage(),
                              &schema::upgradeStorage));
  }
  if (request.permission) {
    GODWIT_TRY(plan.component("permission", state->permission, schema::kPermissionVersion, 1,
                              schema::createPermission(), &schema::upgradePermission));
  }
  if (request.cache && !state->cache) plan.add("create cache schema", schema::createCache());
  if (request.dry_run || report.steps.empty()) {
    GODWIT_TRY(db->script("ROLLBACK"));
    return report;
  }
  GODWIT_TRY(db->script(report.sql));
  GODWIT_TRY(db->script("COMMIT"));
  return report;
}

Result<SchemaState> inspect(const std::string& url, Deadline deadline) {
  auto db = BlockingConnection::open(url, deadline);
  if (!db.ok()) return std::move(db).error();
  return inspectWith(*db);
}

Result<void> checkServable(const SchemaState& state, bool storage, bool permission, bool cache) {
  auto missing = [](const char* what) {
    return Error(ErrorCode::kUnsupported,
                 std::string("the database has no ") + what + " tables (hint: godwit migrate)");
  };
  if (storage) {
    if (!state.storage) return missing("storage");
    if (*state.storage > schema::kStorageVersion) {
      return unknownVersion("storage", *state.storage, schema::kStorageVersion);
    }
    if (*state.storage < schema::kStorageVersion) {
      return Error(ErrorCode::kUnsupported, "the database's storage schema has version " +
                                                std::to_string(*state.storage) +
                                                " (hint: godwit migrate)");
    }
  }
  if (permission) {
    if (!state.permission) return missing("permission");
    if (*state.permission > schema::kPermissionVersion) {
      return unknownVersion("permission", *state.permission, schema::kPermissionVersion);
    }
    if (*state.permission < schema::kPermissionVersion) {
      return Error(ErrorCode::kUnsupported,
                   "the database's permission schema is old (hint: godwit migrate)");
    }
  }
  if (cache && !state.cache) return missing("cache");
  return {};
}

}  // namespace godwit::store::postgresql
