#pragma once

#include <string>
#include <string_view>

// The fixed statements. Parameters: $1 id, $2 parent, $3 resource, unless said otherwise.
namespace godwit::store::postgresql::sql {

// The session every statement relies on. UTC, since Kinto's trigger and functions use the session's
// time zone. A transaction abandoned by a vanished client must not hold its locks for long. The
// last column tells whether the server is a replica.
inline constexpr std::string_view kSession =
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false),"
    " set_config('idle_in_transaction_session_timeout', '30000', false),"
    " set_config('lock_timeout', '0', false), set_config('statement_timeout', '60000', false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " set_config('standard_conforming_strings', 'on', false),"
    // Statements are prepared once and their plans do not depend on values; what does is planned
    // apart (kPlanForValues). Left alone, the server plans those with arrays every time.
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    // They find rows by key, through an index. A plan made while a table was small would scan it,
    // and go on doing so until the next ANALYZE, however large it has become.
    " set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),"
    " set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false),"
    " pg_is_in_recovery()";

inline constexpr std::string_view kBegin = "BEGIN";
inline constexpr std::string_view kBeginRead = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
inline constexpr std::string_view kCommit = "COMMIT";
inline constexpr std::string_view kRollback = "ROLLBACK";
inline constexpr std::string_view kSavepoint = "SAVEPOINT unit";
inline constexpr std::string_view kRelease = "RELEASE SAVEPOINT unit";
inline constexpr std::string_view kRollbackTo = "ROLLBACK TO SAVEPOINT unit";

// Writers of one list take turns until they commit, so that its timestamps grow in the order in
// which they become visible. The key is the one newer Kinto versions take inside their trigger.
// $1 parent, $2 resource.
inline constexpr std::string_view kLockList =
    "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";

// The same for several lists at once, without waiting: 22012 when one of them is somebody's. Arrays
// of parents and resources.
inline constexpr std::string_view kTryLists =
    "SELECT 1 / min(pg_try_advisory_xact_lock(hashtext(p), hashtext(r))::int)"
    " FROM unnest($1::text[], $2::text[]) AS k(p, r)";

inline constexpr std::string_view kGet =
    "SELECT data, last_modified FROM objects"
    " WHERE id = $1 AND parent_id = $2 AND resource_name = $3 AND NOT deleted";

// $1 parent, $2 resource. NULL when the list has none.
inline constexpr std::string_view kTimestamp =
    "SELECT GREATEST((SELECT last_modified FROM objects WHERE parent_id = $1 AND resource_name = $2"
    " ORDER BY last_modified DESC LIMIT 1),"
    " (SELECT last_modified FROM timestamps WHERE parent_id = $1 AND resource_name = $2))";
inline constexpr std::string_view kMakeTimestamp =
    "INSERT INTO timestamps (parent_id, resource_name, last_modified)"
    " VALUES ($1, $2, date_trunc('milliseconds', clock_timestamp()::timestamp))"
    " ON CONFLICT (parent_id, resource_name) DO NOTHING";

// Groups, ACEs and objects of looks that travel together (look.h). $1 users, $2 URIs, $3 to $5 ids,
// parents and resources of objects, all arrays. Rows: kind ('g', 'a', 'o'), place of the key in its
// array, two texts, data, last_modified.
inline constexpr std::string_view kLook =
    "SELECT 'g'::text, k.n, principal, NULL::text, NULL::jsonb, NULL::timestamp"
    " FROM unnest($1::text[]) WITH ORDINALITY AS k(key, n)"
    " JOIN user_principals ON user_id = k.key"
    " UNION ALL SELECT 'a'::text, k.n, permission, principal, NULL::jsonb, NULL::timestamp"
    " FROM unnest($2::text[]) WITH ORDINALITY AS k(key, n)"
    " JOIN access_control_entries ON object_id = k.key"
    " UNION ALL SELECT 'o'::text, k.n, NULL::text, NULL::text, data, last_modified"
    " FROM unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY"
    " AS k(key, parent, resource, n)"
    " JOIN objects ON id = k.key AND parent_id = k.parent AND resource_name = k.resource"
    " AND NOT deleted";

// Statements that write one object, and its entries with it.
struct WriteShape {
  enum class What : unsigned char {
    kCreate,    // no live object may be there
    kUpsert,    // whatever
    kExpected,  // a live object with that very timestamp
    kRemove,    // a live object; leaves a tombstone
    kRemoveExpected,
    // Nothing can be there. Not asking whether there is halves what an insert costs.
    kFresh,
  };
  enum class Time : unsigned char {
    kServer,     // the server chooses
    kRequested,  // by the rules of Session
    // As told, above all of the list. No row, or one that the trigger gave another timestamp
    // because a writer who takes no lock came in between, is then an error (22012), for statements
    // whose answer nobody waits for.
    kExact,
  };
  enum class Aces : unsigned char {
    kKeep,
    kAdd,      // the entries given
    kReplace,  // the entries given, instead of those of the permissions named
  };
  What what = What::kCreate;
  Time time = Time::kServer;
  Aces aces = Aces::kKeep;
};
// Parameters: $1 id, $2 parent, $3 resource, then what applies of: data; timestamp in ms (unless
// kServer); timestamp in us that the object must still have; URI, array of permissions, array of
// principals, array of the permissions named (kReplace).
// Result: last_modified, transaction id. No row: the condition does not hold.
std::string_view write(WriteShape shape);
// Fresh objects of one list and the entries of fresh objects. $1 parent, $2 resource, $3 ids, $4
// documents, $5 timestamps in ms; $1 URIs, $2 permissions, $3 principals. Arrays but for $1 and $2
// of the first. Timestamps are kExact.
inline constexpr std::string_view kAddObjects =
    "WITH w AS ("
    "INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted)"
    " SELECT id, $1::text, $2::text, data, TIMESTAMP 'epoch' + at * INTERVAL '1 millisecond', FALSE"
    " FROM unnest($3::text[], $4::jsonb[], $5::bigint[]) AS n(id, data, at)"
    " RETURNING last_modified)"
    " SELECT 1 / (count(*) = cardinality($3::text[]))::int FROM w WHERE last_modified ="
    " ANY (ARRAY(SELECT TIMESTAMP 'epoch' + at * INTERVAL '1 millisecond'"
    " FROM unnest($5::bigint[]) AS t(at)))";
inline constexpr std::string_view kAddEntries =
    "INSERT INTO access_control_entries (object_id, permission, principal)"
    " SELECT u, p, q FROM unnest($1::text[], $2::text[], $3::text[]) AS n(u, p, q)";

// --- Groups and entries
inline constexpr std::string_view kGroupsOf =
    "SELECT DISTINCT principal FROM user_principals"
    " WHERE user_id IN ($1, 'system.Authenticated')";
inline constexpr std::string_view kAddGroup =
    "INSERT INTO user_principals (user_id, principal) VALUES ($1, $2) ON CONFLICT DO NOTHING";
inline constexpr std::string_view kRemoveGroup =
    "DELETE FROM user_principals WHERE user_id = $1 AND principal = $2";
inline constexpr std::string_view kRemovePrincipal =
    "DELETE FROM user_principals WHERE principal LIKE $1";

// $1 array of URIs.
inline constexpr std::string_view kAces =
    "SELECT object_id, permission, principal FROM access_control_entries"
    " WHERE object_id = ANY($1::text[])";
// $1 URI, $2 permissions named, $3 and $4 the entries they shall have.
inline constexpr std::string_view kReplaceAces =
    "WITH gone AS (DELETE FROM access_control_entries WHERE object_id = $1"
    " AND permission = ANY($2::text[]) AND (permission, principal) NOT IN"
    " (SELECT p, q FROM unnest($3::text[], $4::text[]) AS n(p, q)))"
    " INSERT INTO access_control_entries (object_id, permission, principal)"
    " SELECT $1, p, q FROM unnest($3::text[], $4::text[]) AS n(p, q) ON CONFLICT DO NOTHING";
inline constexpr std::string_view kAddAce =
    "INSERT INTO access_control_entries (object_id, permission, principal) VALUES ($1, $2, $3)"
    " ON CONFLICT DO NOTHING";
inline constexpr std::string_view kRemoveAce =
    "DELETE FROM access_control_entries WHERE object_id = $1 AND permission = $2"
    " AND principal = $3";
// $1 array of URIs.
inline constexpr std::string_view kRemoveAces =
    "DELETE FROM access_control_entries WHERE object_id = ANY($1::text[])";
// $1 LIKE pattern, $2 its fixed prefix, $3 the end of that prefix.
inline constexpr std::string_view kRemoveAcesLike =
    "DELETE FROM access_control_entries WHERE object_id >= $2 AND object_id < $3"
    " AND object_id LIKE $1";
// $1 array of principals.
inline constexpr std::string_view kAccessible =
    "SELECT object_id, permission, principal FROM access_control_entries"
    " WHERE principal = ANY($1::text[])";
// $2 LIKE patterns, $3 permissions, $4 how many slashes a match has (-1: any), all arrays.
inline constexpr std::string_view kAccessibleWithin =
    "SELECT DISTINCT object_id, permission, principal FROM access_control_entries"
    " JOIN unnest($2::text[], $3::text[], $4::int[]) AS b(pattern, perm, slashes)"
    " ON permission = b.perm AND object_id LIKE b.pattern"
    " AND (b.slashes < 0"
    " OR length(object_id) - length(replace(object_id, '/', '')) = b.slashes)"
    " WHERE principal = ANY($1::text[])";

// --- Everything
inline constexpr std::string_view kHeartbeatResource = "__heartbeat__";
inline constexpr std::string_view kCounts =
    "SELECT resource_name, deleted, count(*) FROM objects"
    " WHERE resource_name <> '__heartbeat__' GROUP BY resource_name, deleted";
// Plans made for the values at hand, until the transaction ends: for statements whose best plan
// depends on them.
inline constexpr std::string_view kPlanForValues =
    "SELECT set_config('plan_cache_mode', 'auto', true), set_config('enable_seqscan', 'on', true),"
    " set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)";
// Bytes of its log that a primary has written, and that a replica has replayed: NULL where there is
// no such thing.
inline constexpr std::string_view kLogPosition =
    "SELECT CASE WHEN NOT pg_is_in_recovery()"
    " THEN pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint END";
inline constexpr std::string_view kReplayPosition =
    "SELECT CASE WHEN pg_is_in_recovery()"
    " THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END";
inline constexpr std::string_view kPing = "SELECT 1";
// One row per node name, so that beats neither pile up nor meet. $1 id.
inline constexpr std::string_view kBeat =
    "INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted)"
    " VALUES ($1, '__heartbeat__/' || $1, '__heartbeat__', '{}', NULL, FALSE)"
    " ON CONFLICT (id, parent_id, resource_name)"
    " DO UPDATE SET data = EXCLUDED.data, last_modified = EXCLUDED.last_modified";
// $1 transaction id, $2 id, $3 parent, $4 resource, $5 timestamp (us): the transaction's state, and
// whether what it wrote is there.
inline constexpr std::string_view kOutcome =
    "SELECT txid_status($1::bigint),"
    " EXISTS (SELECT 1 FROM objects WHERE id = $2 AND parent_id = $3 AND resource_name = $4"
    " AND last_modified = (TIMESTAMP 'epoch' + $5::bigint * INTERVAL '1 microsecond'))";
// For a transaction whose number never arrived. $1 process id: does its session still exist? And
// then: is the object there, and when was it changed? $1 id, $2 parent, $3 resource.
inline constexpr std::string_view kSessionLives =
    "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1::bigint::int)";
inline constexpr std::string_view kWrittenAt =
    "SELECT last_modified FROM objects WHERE id = $1 AND parent_id = $2 AND resource_name = $3"
    " AND NOT deleted";
// $1 process id.
inline constexpr std::string_view kEndSession =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = $1::bigint::int AND application_name = 'godwit'";
// Ends the session of a vanished connection that keeps its transaction open. $1 transaction id,
// $2 process id.
inline constexpr std::string_view kEndBackend =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = $2::bigint::int AND backend_xid::text = ($1::bigint & 4294967295)::text";

}  // namespace godwit::store::postgresql::sql
