#include "store/postgresql/schema.h"

#include <string>

namespace godwit::store::postgresql::schema {

namespace {

constexpr std::string_view kMetadata = R"sql(
CREATE TABLE IF NOT EXISTS metadata (
    name VARCHAR(128) NOT NULL,
    value VARCHAR(512) NOT NULL
);
)sql";

constexpr std::string_view kFunctions = R"sql(
-- Unix milliseconds of a timestamp, and back.
CREATE OR REPLACE FUNCTION as_epoch(ts TIMESTAMP) RETURNS BIGINT
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (EXTRACT(EPOCH FROM ts) * 1000)::BIGINT;
END;
$$;

CREATE OR REPLACE FUNCTION from_epoch(epoch BIGINT) RETURNS TIMESTAMP
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN TIMESTAMP WITH TIME ZONE 'epoch' + epoch * INTERVAL '1 millisecond';
END;
$$;
)sql";

constexpr std::string_view kTables = R"sql(
CREATE TABLE IF NOT EXISTS objects (
    -- Identifiers, not words: bytes compare faster and let an index serve prefixes.
    id TEXT COLLATE "C" NOT NULL,
    parent_id TEXT COLLATE "C" NOT NULL,
    resource_name TEXT COLLATE "C" NOT NULL,
    last_modified TIMESTAMP NOT NULL,
    data JSONB NOT NULL DEFAULT '{}'::JSONB,
    deleted BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_objects_parent_id_resource_name_last_modified
    ON objects (parent_id, resource_name, last_modified DESC);
CREATE INDEX IF NOT EXISTS idx_objects_last_modified_epoch
    ON objects (as_epoch(last_modified));
CREATE INDEX IF NOT EXISTS idx_objects_resource_name_parent_id_deleted
    ON objects (resource_name, parent_id, deleted);
CREATE INDEX IF NOT EXISTS idx_objects_parent_id_record_last_modified
    ON objects (parent_id, last_modified DESC) WHERE resource_name = 'record';
CREATE INDEX IF NOT EXISTS idx_objects_history_userid_and_resourcename
    ON objects ((data->'user_id'), (data->'resource_name')) WHERE resource_name = 'history';

-- The youngest index: the planner prefers it to others that look as good, as all do to it before
-- the first ANALYZE.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint
                    WHERE conrelid = 'objects'::REGCLASS AND contype = 'p') THEN
        ALTER TABLE objects ADD PRIMARY KEY (id, parent_id, resource_name);
    END IF;
END;
$$;

CREATE TABLE IF NOT EXISTS timestamps (
    parent_id TEXT COLLATE "C" NOT NULL,
    resource_name TEXT COLLATE "C" NOT NULL,
    last_modified TIMESTAMP NOT NULL,
    PRIMARY KEY (parent_id, resource_name)
);
)sql";

constexpr std::string_view kTrigger = R"sql(
-- Gives an object its timestamp: now, or one millisecond after the newest of its list. One that was
-- asked for is kept unless the list's newest has it.
CREATE OR REPLACE FUNCTION bump_timestamp() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    newest BIGINT;
BEGIN
    SELECT as_epoch(max(known.t)) INTO newest FROM (
        (SELECT last_modified AS t FROM objects
          WHERE parent_id = NEW.parent_id AND resource_name = NEW.resource_name
          ORDER BY last_modified DESC LIMIT 1)
        UNION ALL
        (SELECT last_modified FROM timestamps
          WHERE parent_id = NEW.parent_id AND resource_name = NEW.resource_name)
    ) AS known;
    IF NEW.last_modified IS NULL OR as_epoch(NEW.last_modified) = newest THEN
        NEW.last_modified := from_epoch(
            GREATEST(as_epoch(clock_timestamp()::TIMESTAMP), newest + 1));
    END IF;
    RETURN NEW;
END;
$$;

DROP TRIGGER IF EXISTS tgr_objects_last_modified ON objects;
CREATE TRIGGER tgr_objects_last_modified
    BEFORE INSERT OR UPDATE OF data ON objects
    FOR EACH ROW EXECUTE PROCEDURE bump_timestamp();
)sql";

constexpr std::string_view kPermissionTables = R"sql(
CREATE TABLE IF NOT EXISTS user_principals (
    user_id TEXT COLLATE "C",
    principal TEXT,
    PRIMARY KEY (user_id, principal)
);

CREATE TABLE IF NOT EXISTS access_control_entries (
    object_id TEXT COLLATE "C",
    permission TEXT,
    principal TEXT
);
CREATE INDEX IF NOT EXISTS idx_access_control_entries_object_id
    ON access_control_entries (object_id);
CREATE INDEX IF NOT EXISTS idx_access_control_entries_permission
    ON access_control_entries (permission);
CREATE INDEX IF NOT EXISTS idx_access_control_entries_principal
    ON access_control_entries (principal);
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint
                    WHERE conrelid = 'access_control_entries'::REGCLASS AND contype = 'p') THEN
        ALTER TABLE access_control_entries ADD PRIMARY KEY (object_id, permission, principal);
    END IF;
END;
$$;
)sql";

constexpr std::string_view kCacheTable = R"sql(
CREATE TABLE IF NOT EXISTS cache (
    key VARCHAR(256) PRIMARY KEY,
    value TEXT NOT NULL,
    ttl TIMESTAMP DEFAULT NULL
);
CREATE INDEX IF NOT EXISTS idx_cache_ttl ON cache (ttl);

CREATE OR REPLACE FUNCTION sec2ttl(seconds FLOAT) RETURNS TIMESTAMP
LANGUAGE plpgsql AS $$
BEGIN
    IF seconds IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN now() + (seconds || ' SECOND')::INTERVAL;
END;
$$;
)sql";

std::string versionRow(std::string_view name, int version) {
  return "INSERT INTO metadata (name, value) VALUES ('" + std::string(name) + "', '" +
         std::to_string(version) + "');\n";
}

}  // namespace

std::string_view createStorage() {
  static const std::string kSql =
      std::string(kFunctions) + std::string(kTables) + std::string(kTrigger) +
      std::string(kMetadata) +
      "INSERT INTO metadata (name, value) VALUES ('created_at', NOW()::TEXT);\n" +
      versionRow("storage_schema_version", kStorageVersion);
  return kSql;
}

std::string_view createPermission() {
  static const std::string kSql = std::string(kPermissionTables) + std::string(kMetadata) +
                                  versionRow("permission_schema_version", kPermissionVersion);
  return kSql;
}

std::string_view createCache() { return kCacheTable; }

std::string_view upgradeStorage(int version) {
  static const std::string k24 =
      "CREATE INDEX IF NOT EXISTS idx_objects_parent_id_record_last_modified\n"
      "    ON objects (parent_id, last_modified DESC) WHERE resource_name = 'record';\n" +
      versionRow("storage_schema_version", 25);
  static const std::string k25 = std::string(kTrigger) + versionRow("storage_schema_version", 26);
  if (version == 24) return k24;
  if (version == 25) return k25;
  return "";
}

std::string_view upgradePermission(int version) {
  static const std::string k1 =
      std::string(kMetadata) +
      "ALTER TABLE user_principals ALTER COLUMN user_id TYPE TEXT COLLATE \"C\";\n"
      "ALTER TABLE access_control_entries ALTER COLUMN object_id TYPE TEXT COLLATE \"C\";\n" +
      versionRow("permission_schema_version", 2);
  return version == 1 ? std::string_view(k1) : std::string_view();
}

}  // namespace godwit::store::postgresql::schema
