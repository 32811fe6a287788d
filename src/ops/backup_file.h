#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "godwit/result.h"

// The file of a backup (docs/formats/backup.md): a Zstandard file of the database, with a first
// frame that says what it is and that other programs skip.
namespace godwit::ops {

struct BackupInfo {
  std::string made;         // "2026-01-31T23:59:59Z"
  std::uint64_t bytes = 0;  // of the database
  std::string sha256;       // likewise, as hex
  std::uint64_t objects = 0;
  std::uint64_t tombstones = 0;
  int schema = 0;
};

using Bytes = std::function<void(std::uint64_t done, std::uint64_t total)>;

// The beginning of a backup. kInvalid when it is none, kUnsupported when it is of another version.
Result<BackupInfo> readBackupInfo(int fd, std::uint64_t& data_offset);

// Writes all of it to `out`, from its beginning on; the caller syncs.
Result<void> compressDatabase(int database, const BackupInfo& info, int out, const Bytes& progress);

// Writes the database to `out` (-1: nowhere) and checks its size and checksum. kInvalid: damaged.
Result<BackupInfo> expandBackup(int backup, int out, const Bytes& progress);

// Size and SHA-256.
Result<void> measure(int fd, BackupInfo& info);

}  // namespace godwit::ops
