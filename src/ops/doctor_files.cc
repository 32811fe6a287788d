#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/os_error.h"
#include "kinto/stores.h"
#include "ops/doctor.h"
#include "ops/durable_file.h"
#include "store/copy_source.h"

namespace godwit::ops {
namespace {

constexpr std::uint64_t kLeastFree = std::uint64_t{100} << 20;
constexpr std::uint64_t kSomeFree = std::uint64_t{1} << 30;

std::string megabytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

bool isRemote(const std::string& path) {
  struct statfs fs = {};
  if (::statfs(path.c_str(), &fs) != 0) return false;
  constexpr unsigned long kNfs = 0x6969;
  constexpr unsigned long kSmb = 0x517B;
  constexpr unsigned long kCifs = 0xFF534D42;
  constexpr unsigned long kSmb2 = 0xFE534D42;
  auto type = static_cast<unsigned long>(fs.f_type);
  return type == kNfs || type == kSmb || type == kCifs || type == kSmb2;
}

void examineMode(const std::string& path, mode_t forbidden, const std::string& right,
                 Findings& out) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return;
  if ((info.st_mode & forbidden) != 0) {
    out.push_back({Level::kProblem, "permissions", path + " is open to others",
                   "chmod " + right + " " + path});
  }
  if (::access(path.c_str(), R_OK | W_OK) != 0) {
    out.push_back({Level::kProblem, "permissions",
                   path + " cannot be read and written by this user",
                   "run as its owner, or chown it (uid " + std::to_string(info.st_uid) + " now)"});
  }
}

void examineSpace(const std::string& folder, std::uint64_t database, Findings& out) {
  struct statvfs space = {};
  if (::statvfs(folder.c_str(), &space) != 0) return;
  std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  std::string text = megabytes(free) + " free in " + folder;
  if (free < kLeastFree) {
    out.push_back({Level::kProblem, "disk", text, "make room: writes fail on a full disk"});
  } else if (free < kSomeFree || free < 2 * database) {
    out.push_back({Level::kWarning, "disk", text + ", the database has " + megabytes(database),
                   "make room: a backup or VACUUM needs as much as the database"});
  } else {
    out.push_back({Level::kOk, "disk", text, ""});
  }
  if (space.f_files > 0 && space.f_favail < 1000) {
    out.push_back({Level::kProblem, "disk", "no inodes left in " + folder, "remove files"});
  }
}

}  // namespace

void examineFiles(const kinto::Settings& settings, Findings& out) {
  auto url = kinto::storageUrl(settings);
  if (!url.ok() || !store::isSqliteUrl(*url)) return;
  std::string database = store::sqlitePath(*url);
  std::string folder = folderOf(database);
  struct stat info = {};
  if (::stat(folder.c_str(), &info) != 0) {
    out.push_back({Level::kNote, "data folder", folder + " is not there yet: serve makes it", ""});
    return;
  }
  std::size_t before = out.size();
  examineMode(folder, 0077, "700", out);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    examineMode(database + suffix, 0077, "600", out);
  }
  examineMode(folder + "/userid_hmac_secret", 0077, "600", out);
  if (out.size() == before) out.push_back({Level::kOk, "permissions", folder, ""});
  if (isRemote(folder)) {
    out.push_back({Level::kProblem, "data folder",
                   folder + " is on a network file system: locks and the log cannot be relied on",
                   "--data-dir on a local disk, or PostgreSQL"});
  }
  std::uint64_t size = 0;
  if (::stat(database.c_str(), &info) == 0) size = static_cast<std::uint64_t>(info.st_size);
  examineSpace(folder, size, out);
}

}  // namespace godwit::ops
