#pragma once

#include <cstddef>
#include <cstdint>

namespace godwit::store::sqlite {

// Every statement of the backend; texts in sql.cc in the same order.
enum class Sql : std::uint8_t {
  kBegin,
  kBeginImmediate,
  kCommit,
  kRollback,
  kSavepoint,
  kRelease,
  kRollbackTo,
  // lists
  kListFind,
  kListInsert,
  kListUpdate,
  kListDelete,
  kListsFrom,
  kListsRange,
  kListNewest,
  // objects
  kObjectLoad,
  kObjectGet,
  kObjectFind,
  kObjectRow,
  kObjectInsert,
  kObjectUpdate,
  kObjectDelete,
  kTimeTaken,
  kScanDown,
  kScanUp,
  kTombstonesDelete,
  kTombstonesBefore,
  kTombstonesTrim,
  // groups
  kGroupsOf,
  kGroupAdd,
  kGroupRemove,
  kGroupPrincipalsFrom,
  kGroupPrincipalsRange,
  kGroupDropPrincipal,
  // access control entries
  kAcesOf,
  kAceAdd,
  kAceRemove,
  kAcesClear,
  kAcesDropUri,
  kAcesFrom,
  kAcesRange,
  kAceDelete,
  kAccessible,
  kAccessibleFrom,
  kAccessibleRange,
  // cache
  kCacheGet,
  kCacheRow,
  kCachePut,
  kCacheExpire,
  kCacheDelete,
  kCacheOldest,
  kCacheBytes,
  kCacheSetBytes,
  kCacheClear,
  // program
  kHeartbeat,
  kProbe,
  kCount_
};
constexpr std::size_t kSqlCount = static_cast<std::size_t>(Sql::kCount_);

const char* textOf(Sql statement);

}  // namespace godwit::store::sqlite
