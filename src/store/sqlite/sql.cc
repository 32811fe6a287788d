#include "store/sqlite/sql.h"

namespace godwit::store::sqlite {

const char* textOf(Sql statement) {
  // A switch, so that the compiler reports a statement without text.
  switch (statement) {
    case Sql::kBegin:
      return "BEGIN";
    case Sql::kBeginImmediate:
      return "BEGIN IMMEDIATE";
    case Sql::kCommit:
      return "COMMIT";
    case Sql::kRollback:
      return "ROLLBACK";
    case Sql::kSavepoint:
      return "SAVEPOINT unit";
    case Sql::kRelease:
      return "RELEASE unit";
    case Sql::kRollbackTo:
      return "ROLLBACK TO unit";

    case Sql::kListFind:
      return "SELECT id, last_modified, live, tombstones, bytes FROM lists"
             " WHERE parent = ?1 AND resource = ?2";
    case Sql::kListInsert:
      return "INSERT INTO lists (parent, resource, last_modified, live, tombstones, bytes)"
             " VALUES (?1, ?2, 0, 0, 0, 0)";
    case Sql::kListUpdate:
      return "UPDATE lists SET last_modified = ?2, live = ?3, tombstones = ?4, bytes = ?5"
             " WHERE id = ?1";
    case Sql::kListDelete:
      return "DELETE FROM lists WHERE id = ?1";
    case Sql::kListsFrom:
      return "SELECT id, last_modified, live, tombstones, bytes, parent, resource FROM lists"
             " WHERE parent >= ?1 ORDER BY parent, resource";
    case Sql::kListsRange:
      return "SELECT id, last_modified, live, tombstones, bytes, parent, resource FROM lists"
             " WHERE parent >= ?1 AND parent < ?2 ORDER BY parent, resource";
    case Sql::kListNewest:
      return "SELECT max(last_modified) FROM objects WHERE list = ?1";

    case Sql::kObjectLoad:
      return "SELECT o.last_modified, o.data FROM lists l"
             " CROSS JOIN objects o ON o.list = l.id AND o.id = ?3"
             " WHERE l.parent = ?1 AND l.resource = ?2 AND o.deleted = 0";
    case Sql::kObjectGet:
      return "SELECT last_modified, data FROM objects"
             " WHERE list = ?1 AND id = ?2 AND deleted = 0";
    case Sql::kObjectFind:
      return "SELECT n, last_modified, deleted, length(CAST(data AS BLOB)) FROM objects"
             " WHERE list = ?1 AND id = ?2";
    case Sql::kObjectRow:
      return "SELECT n, id, last_modified, deleted, data FROM objects"
             " WHERE list = ?1 AND id = ?2";
    case Sql::kObjectInsert:
      return "INSERT INTO objects (list, id, last_modified, deleted, data)"
             " VALUES (?1, ?2, ?3, ?4, ?5)";
    case Sql::kObjectUpdate:
      return "UPDATE objects SET last_modified = ?2, deleted = ?3, data = ?4 WHERE n = ?1";
    case Sql::kObjectDelete:
      return "DELETE FROM objects WHERE n = ?1";
    case Sql::kTimeTaken:
      return "SELECT 1 FROM objects WHERE list = ?1 AND last_modified = ?2";
    case Sql::kScanDown:
      return "SELECT n, id, last_modified, deleted, data FROM objects"
             " WHERE list = ?1 AND last_modified BETWEEN ?2 AND ?3 ORDER BY last_modified DESC";
    case Sql::kScanUp:
      return "SELECT n, id, last_modified, deleted, data FROM objects"
             " WHERE list = ?1 AND last_modified BETWEEN ?2 AND ?3 ORDER BY last_modified";
    case Sql::kTombstonesDelete:
      return "DELETE FROM objects WHERE list = ?1 AND deleted = 1";
    case Sql::kTombstonesBefore:
      return "DELETE FROM objects WHERE list = ?1 AND last_modified < ?2 AND deleted = 1";
    case Sql::kTombstonesTrim:
      return "DELETE FROM objects WHERE n IN (SELECT n FROM objects"
             " WHERE list = ?1 AND deleted = 1 ORDER BY last_modified DESC LIMIT -1 OFFSET ?2)";

    case Sql::kGroupsOf:
      return "SELECT principal FROM user_principals WHERE user = ?1";
    case Sql::kGroupAdd:
      return "INSERT OR IGNORE INTO user_principals (user, principal) VALUES (?1, ?2)";
    case Sql::kGroupRemove:
      return "DELETE FROM user_principals WHERE user = ?1 AND principal = ?2";
    case Sql::kGroupPrincipalsFrom:
      return "SELECT DISTINCT principal FROM user_principals WHERE principal >= ?1";
    case Sql::kGroupPrincipalsRange:
      return "SELECT DISTINCT principal FROM user_principals"
             " WHERE principal >= ?1 AND principal < ?2";
    case Sql::kGroupDropPrincipal:
      return "DELETE FROM user_principals WHERE principal = ?1";

    case Sql::kAcesOf:
      return "SELECT permission, principal FROM aces WHERE scope = ?1 AND name = ?2";
    case Sql::kAceAdd:
      return "INSERT OR IGNORE INTO aces (scope, name, permission, principal)"
             " VALUES (?1, ?2, ?3, ?4)";
    case Sql::kAceRemove:
      return "DELETE FROM aces"
             " WHERE scope = ?1 AND name = ?2 AND permission = ?3 AND principal = ?4";
    case Sql::kAcesClear:
      return "DELETE FROM aces WHERE scope = ?1 AND name = ?2 AND permission = ?3";
    case Sql::kAcesDropUri:
      return "DELETE FROM aces WHERE scope = ?1 AND name = ?2";
    case Sql::kAcesFrom:
      return "SELECT n, scope, name FROM aces WHERE scope >= ?1";
    case Sql::kAcesRange:
      return "SELECT n, scope, name FROM aces WHERE scope >= ?1 AND scope < ?2";
    case Sql::kAceDelete:
      return "DELETE FROM aces WHERE n = ?1";
    case Sql::kAccessible:
      return "SELECT scope, name, permission FROM aces WHERE principal = ?1";
    case Sql::kAccessibleFrom:
      return "SELECT scope, name, permission FROM aces WHERE principal = ?1 AND scope >= ?2";
    case Sql::kAccessibleRange:
      return "SELECT scope, name, permission FROM aces"
             " WHERE principal = ?1 AND scope >= ?2 AND scope < ?3";

    case Sql::kCacheGet:
      return "SELECT value FROM cache WHERE key = ?1 AND expires > ?2";
    case Sql::kCacheRow:
      return "SELECT n, value, expires, length(key) + length(value) FROM cache WHERE key = ?1";
    case Sql::kCachePut:
      return "INSERT INTO cache (key, value, expires) VALUES (?1, ?2, ?3)";
    case Sql::kCacheExpire:
      return "UPDATE cache SET expires = ?2 WHERE key = ?1 AND expires > ?3";
    case Sql::kCacheDelete:
      return "DELETE FROM cache WHERE n = ?1";
    case Sql::kCacheOldest:
      return "SELECT n, length(key) + length(value) FROM cache ORDER BY n LIMIT 1";
    case Sql::kCacheBytes:
      return "SELECT value FROM meta WHERE name = 'cache_bytes'";
    case Sql::kCacheSetBytes:
      return "UPDATE meta SET value = ?1 WHERE name = 'cache_bytes'";
    case Sql::kCacheClear:
      return "DELETE FROM cache";

    case Sql::kHeartbeat:
      return "UPDATE meta SET value = ?1 WHERE name = 'heartbeat'";
    case Sql::kProbe:
      return "SELECT value FROM meta WHERE name = 'schema'";
    case Sql::kCount_:
      break;
  }
  return "";
}

}  // namespace godwit::store::sqlite
