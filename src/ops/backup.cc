#include "ops/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/options.h"
#include "base/os_error.h"
#include "kinto/text.h"
#include "ops/durable_file.h"
#include "ops/snapshot.h"

namespace godwit::ops {
namespace {

std::string now() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return kinto::isoDate(std::chrono::nanoseconds(seconds).count()).substr(0, 19) + "Z";
}

Result<UniqueFd> openRead(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return osError("open " + path);
  return fd;
}

// Password hashes are in it.
Result<UniqueFd> openNew(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return osError("open " + path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error(ErrorCode::kConflict, "another process writes " + path);
  }
  if (::ftruncate(fd.get(), 0) != 0) return osError("empty " + path);
  return fd;
}

// Of a database that was only looked at; both are empty.
void removeLog(const std::string& database) {
  ::unlink((database + "-wal").c_str());
  ::unlink((database + "-shm").c_str());
}

// Removes a file when it goes, unless told that it is wanted.
class Scrap {
 public:
  explicit Scrap(std::string path) : path_(std::move(path)) {}
  ~Scrap() {
    if (path_.empty()) return;
    ::unlink(path_.c_str());
    removeLog(path_);
  }
  Scrap(const Scrap&) = delete;
  Scrap& operator=(const Scrap&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

Result<void> checkCounts(const std::string& path, const BackupInfo& info) {
  BackupInfo found;
  GODWIT_TRY(checkDatabase(path, found));
  if (found.objects == info.objects && found.tombstones == info.tombstones) return {};
  return Error(ErrorCode::kInvalid, "the backup does not hold what it says");
}

// The database of a backup as a file, checked and on the disk.
Result<BackupInfo> expandTo(const std::string& file, const std::string& path,
                            const Bytes& progress) {
  auto backup = openRead(file);
  if (!backup.ok()) return std::move(backup).error();
  auto out = openNew(path);
  if (!out.ok()) return std::move(out).error();
  auto info = expandBackup(backup->get(), out->get(), progress);
  if (!info.ok()) return info;
  if (::fsync(out->get()) != 0) return osError("write " + path + " to the disk");
  out->reset();
  Result<void> checked = checkCounts(path, *info);
  removeLog(path);
  if (!checked.ok()) return std::move(checked).error();
  return info;
}

}  // namespace

Result<BackupReport> backupSqlite(const std::string& database, const std::string& file,
                                  bool replace, const Bytes& progress) {
  if (!replace && ::access(file.c_str(), F_OK) == 0) {
    return Error(ErrorCode::kConflict, file + " exists (hint: --yes replaces it)");
  }
  BackupReport report;
  report.info.made = now();
  std::string part = file + ".part";
  std::string snapshot = file + ".snapshot";
  auto out = openNew(part);  // its lock keeps a second backup away
  if (!out.ok()) return std::move(out).error();
  Scrap part_scrap(part);
  Scrap snapshot_scrap(snapshot);
  GODWIT_TRY(takeSnapshot(database, snapshot));
  GODWIT_TRY(checkDatabase(snapshot, report.info));
  auto copy = openRead(snapshot);
  if (!copy.ok()) return std::move(copy).error();
  GODWIT_TRY(measure(copy->get(), report.info));
  GODWIT_TRY(compressDatabase(copy->get(), report.info, out->get(), progress));
  if (::fsync(out->get()) != 0) return osError("write " + part + " to the disk");
  auto read = expandBackup(out->get(), -1, nullptr);
  if (!read.ok()) return std::move(read).error();
  struct stat info = {};
  if (::fstat(out->get(), &info) == 0) report.compressed = static_cast<std::uint64_t>(info.st_size);
  GODWIT_TRY(renameDurably(part, file));
  part_scrap.keep();
  return report;
}

Result<BackupInfo> verifyBackup(const std::string& file, const Bytes& progress) {
  std::string beside = file + ".verify";
  if (::access(folderOf(file).c_str(), W_OK) != 0) {
    const char* folder = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): nobody sets it
    beside = std::string(folder ? folder : "/tmp") + "/godwit.verify." + std::to_string(::getpid());
  }
  Scrap scrap(beside);
  return expandTo(file, beside, progress);
}

Result<int> whoUses(const std::string& database) {
  UniqueFd fd(::open(database.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd && errno == ENOENT) return 0;
  if (!fd) return osError("open " + database);
  // Whoever has a database with a write-ahead log open holds SQLite's shared lock on it.
  constexpr off_t kSharedFirst = 0x40000002;
  constexpr off_t kSharedSize = 510;
  struct flock range = {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = kSharedFirst;
  range.l_len = kSharedSize;
  if (::fcntl(fd.get(), F_GETLK, &range) != 0) return osError("look at the locks of " + database);
  if (range.l_type == F_UNLCK) return 0;
  return range.l_pid > 0 ? static_cast<int>(range.l_pid) : -1;
}

Result<RestoreReport> restoreSqlite(const std::string& file, const std::string& database,
                                    const Bytes& progress) {
  auto refuseUsed = [&]() -> Result<void> {
    auto user = whoUses(database);
    if (!user.ok()) return std::move(user).error();
    if (*user == 0) return {};
    std::string who = *user > 0 ? "process " + std::to_string(*user) : "another process";
    return Error(ErrorCode::kConflict,
                 who + " has " + database + " open (hint: stop the server first)");
  };
  GODWIT_TRY(refuseUsed());
  std::string fresh = database + ".restoring";
  Scrap scrap(fresh);
  RestoreReport report;
  auto info = expandTo(file, fresh, progress);
  if (!info.ok()) return std::move(info).error();
  report.info = std::move(*info);

  // From here on no server can start on it: that needs the writer lock.
  auto lock = holdWriterLock(database);
  if (!lock.ok()) return std::move(lock).error();
  GODWIT_TRY(refuseUsed());
  if (::access(database.c_str(), F_OK) == 0) {
    report.kept = database + ".before-" + now();
    // A log beside the new database would be taken for its own.
    GODWIT_TRY(foldLog(database, report.kept));
    if (::link(database.c_str(), report.kept.c_str()) != 0) return osError("keep " + database);
  }
  GODWIT_TRY(renameDurably(fresh, database));
  scrap.keep();
  return report;
}

}  // namespace godwit::ops
