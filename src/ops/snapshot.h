#pragma once

#include <string>

#include "godwit/result.h"
#include "ops/backup_file.h"
#include "store/sqlite/writer_lock.h"

// What backups need of SQLite.
namespace godwit::ops {

// Writes one consistent state of the database into a new file, mode 0600, without the write-ahead
// log. Only reads the database: others write meanwhile. kInvalid: not a database of ours.
Result<void> takeSnapshot(const std::string& database, const std::string& to);

// SQLite's integrity check, and that it is ours; fills the counts and the schema version.
Result<void> checkDatabase(const std::string& path, BackupInfo& info);

// Waits some seconds for it.
Result<store::sqlite::WriterLock> holdWriterLock(const std::string& database);

// Brings the write-ahead log into the database and removes it; where that fails (a damaged
// database) the log is renamed along with `kept`. Under the writer lock, nobody else has it open.
Result<void> foldLog(const std::string& database, const std::string& kept);

}  // namespace godwit::ops
