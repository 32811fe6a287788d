-- A database as Kinto leaves it (storage schema 26, permission schema 2, cache): what its backends
-- write, row by row. Applied on top of an empty schema that Kinto's own migration would have made.
SET client_min_messages TO ERROR;
SET TimeZone = 'UTC';

CREATE FUNCTION as_epoch(ts TIMESTAMP) RETURNS BIGINT AS $$
BEGIN
    RETURN (EXTRACT(EPOCH FROM ts) * 1000)::BIGINT;
END;
$$ LANGUAGE plpgsql IMMUTABLE;

CREATE FUNCTION from_epoch(epoch BIGINT) RETURNS TIMESTAMP AS $$
BEGIN
    RETURN TIMESTAMP WITH TIME ZONE 'epoch' + epoch * INTERVAL '1 millisecond';
END;
$$ LANGUAGE plpgsql IMMUTABLE;

CREATE TABLE objects (
    id TEXT COLLATE "C" NOT NULL,
    parent_id TEXT COLLATE "C" NOT NULL,
    resource_name TEXT COLLATE "C" NOT NULL,
    last_modified TIMESTAMP NOT NULL,
    data JSONB NOT NULL DEFAULT '{}'::JSONB,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (id, parent_id, resource_name)
);
CREATE UNIQUE INDEX idx_objects_parent_id_resource_name_last_modified
    ON objects (parent_id, resource_name, last_modified DESC);
CREATE INDEX idx_objects_last_modified_epoch ON objects (as_epoch(last_modified));
CREATE INDEX idx_objects_resource_name_parent_id_deleted
    ON objects (resource_name, parent_id, deleted);
CREATE INDEX idx_objects_parent_id_record_last_modified
    ON objects (parent_id, last_modified DESC) WHERE resource_name = 'record';
CREATE INDEX idx_objects_history_userid_and_resourcename
    ON objects ((data->'user_id'), (data->'resource_name')) WHERE resource_name = 'history';
CREATE TABLE timestamps (
    parent_id TEXT NOT NULL COLLATE "C",
    resource_name TEXT NOT NULL COLLATE "C",
    last_modified TIMESTAMP NOT NULL,
    PRIMARY KEY (parent_id, resource_name)
);
CREATE FUNCTION bump_timestamp() RETURNS trigger AS $$
DECLARE
    before BIGINT;
    fresh BIGINT := as_epoch(clock_timestamp()::TIMESTAMP);
BEGIN
    SELECT as_epoch(MAX(t)) INTO before FROM (
        (SELECT last_modified AS t FROM objects WHERE parent_id = NEW.parent_id
            AND resource_name = NEW.resource_name ORDER BY last_modified DESC LIMIT 1)
        UNION
        (SELECT last_modified FROM timestamps WHERE parent_id = NEW.parent_id
            AND resource_name = NEW.resource_name)) AS both_of;
    IF before IS NOT NULL AND before >= fresh THEN
        fresh := before + 1;
    END IF;
    IF NEW.last_modified IS NULL
       OR (before IS NOT NULL AND as_epoch(NEW.last_modified) = before) THEN
        NEW.last_modified := from_epoch(fresh);
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER tgr_objects_last_modified BEFORE INSERT OR UPDATE OF data ON objects
    FOR EACH ROW EXECUTE PROCEDURE bump_timestamp();
CREATE TABLE metadata (name VARCHAR(128) NOT NULL, value VARCHAR(512) NOT NULL);
CREATE TABLE user_principals (
    user_id TEXT COLLATE "C", principal TEXT, PRIMARY KEY (user_id, principal));
CREATE TABLE access_control_entries (
    object_id TEXT COLLATE "C", permission TEXT, principal TEXT,
    PRIMARY KEY (object_id, permission, principal));
CREATE INDEX idx_access_control_entries_object_id ON access_control_entries (object_id);
CREATE INDEX idx_access_control_entries_permission ON access_control_entries (permission);
CREATE INDEX idx_access_control_entries_principal ON access_control_entries (principal);
CREATE TABLE cache (
    key VARCHAR(256) PRIMARY KEY, value TEXT NOT NULL, ttl TIMESTAMP DEFAULT NULL);
CREATE INDEX idx_cache_ttl ON cache (ttl);
INSERT INTO metadata VALUES ('created_at', '2024-05-01 10:00:00+00');
-- A server that was upgraded several times has one row per version.
INSERT INTO metadata VALUES ('storage_schema_version', '9'), ('storage_schema_version', '25'),
    ('storage_schema_version', '26'), ('permission_schema_version', '2');

-- An account: its own parent; the password as bcrypt, data without id and last_modified.
INSERT INTO objects VALUES ('alice', 'alice', 'account', from_epoch(1714550000001),
    '{"password": "$2b$12$KIXQjF2fR0gQyW3zv3e0Uu8rL8l3m8YxV8q0b9oQd7kqk1YwFQm6y"}', FALSE);
INSERT INTO objects VALUES
    ('blog', '', 'bucket', from_epoch(1714550000100), '{"owner": "the team"}', FALSE),
    ('articles', '/buckets/blog', 'collection', from_epoch(1714550000200),
     '{"schema": {"type": "object"}, "cache_expires": 60}', FALSE),
    ('editors', '/buckets/blog', 'group', from_epoch(1714550000300),
     '{"members": ["account:alice", "system.Authenticated"]}', FALSE),
    ('a1', '/buckets/blog/collections/articles', 'record', from_epoch(1714550001001),
     '{"title": "Première", "tags": ["a", "b"], "n": 12345678901234567890, "x": 1.50,
       "nested": {"deep": {"er": null}}}', FALSE),
    ('a2', '/buckets/blog/collections/articles', 'record', from_epoch(1714550001002),
     '{"title": "second", "n": 2}', FALSE),
    -- A tombstone.
    ('a3', '/buckets/blog/collections/articles', 'record', from_epoch(1714550001003),
     '{"deleted": true}', TRUE),
    -- From before timestamps were rounded to milliseconds.
    ('a0', '/buckets/blog/collections/articles', 'record', '2024-05-01 07:53:20.999600',
     '{"title": "old"}', FALSE);
-- Lists that were read while they were empty; microseconds are Kinto's.
INSERT INTO timestamps VALUES
    ('/buckets/blog/collections/empty', 'record', '2024-05-01 08:00:00.123456'),
    ('/buckets/blog/collections/articles', 'record', '2024-05-01 07:00:00.5');
INSERT INTO user_principals VALUES
    ('account:alice', '/buckets/blog/groups/editors'),
    ('system.Authenticated', '/buckets/blog/groups/everybody');
INSERT INTO access_control_entries VALUES
    ('/buckets/blog', 'write', 'account:alice'),
    ('/buckets/blog', 'collection:create', 'system.Authenticated'),
    ('/buckets/blog/collections/articles', 'write', '/buckets/blog/groups/editors'),
    ('/buckets/blog/collections/articles/records/a1', 'read', 'system.Everyone'),
    ('/accounts/alice', 'write', 'account:alice');
INSERT INTO cache VALUES ('kinto_key', '{"a": 1}', now() + INTERVAL '1 hour'),
    ('kinto_old', '"gone"', now() - INTERVAL '1 hour');
