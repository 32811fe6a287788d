#pragma once

#include <string>
#include <vector>

#include "ops/backup_file.h"

namespace godwit::ops {

struct BackupReport {
  BackupInfo info;
  std::uint64_t compressed = 0;  // bytes of the file
};

// Backs an SQLite database up while others use it. What was committed when it starts is in it, and
// nothing of what comes later. `file` appears when the backup is complete, checked (the database's
// own integrity check, then the compressed file read back) and on the disk; until then
// `<file>.snapshot` and `<file>.part` are there. Writers go on meanwhile; their log (-wal) cannot
// shrink until the snapshot is taken. kConflict: `file` exists and `replace` is not set.
Result<BackupReport> backupSqlite(const std::string& database, const std::string& file,
                                  bool replace, const Bytes& progress);

// Reads a backup to its end and checks the database in it, in a temporary file beside it or, when
// that is not writable, in $TMPDIR.
Result<BackupInfo> verifyBackup(const std::string& file, const Bytes& progress);

struct RestoreReport {
  BackupInfo info;
  std::string kept;  // where the former database is now, "" when there was none
};

// Puts the database of a backup in the place of `database`, in one step, once it has been checked.
// kConflict: a process has `database` open (the message says which).
Result<RestoreReport> restoreSqlite(const std::string& file, const std::string& database,
                                    const Bytes& progress);

// The process that has an SQLite database open: its id, 0 for none, -1 for one that cannot be
// named.
Result<int> whoUses(const std::string& database);

}  // namespace godwit::ops
