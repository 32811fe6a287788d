#include "metrics/spool_dir.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/os_error.h"
#include "base/random.h"
#include "metrics/lane_files.h"
#include "metrics/spool_room.h"

namespace godwit::metrics::spool {
namespace {

constexpr mode_t kDirMode = 0770;
constexpr mode_t kFileMode = 0660;

std::int64_t monotonicMs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

std::string readSmall(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string out(1024, '\0');
  const ssize_t n = fd ? ::read(fd.get(), out.data(), out.size()) : -1;
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

std::string bootId8() {
  std::string out;
  for (const char c : readSmall("/proc/sys/kernel/random/boot_id")) {
    if (c != '-' && out.size() < 8) out += c;
  }
  return out.size() == 8 ? out : "00000000";
}

// Field 22; the name in field 2 may contain anything, so fields count from its last ')'.
std::uint64_t processStartTime() {
  const std::string s = readSmall("/proc/self/stat");
  std::size_t at = s.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = s.find(' ', at + 1);
  return at == std::string::npos ? 0 : std::strtoull(s.c_str() + at + 1, nullptr, 10);
}

// Our mode whatever the umask, with the set-group-id bit that the directory may have inherited: it
// is what lets several users share a spool.
void setDirMode(int at, const char* path) {
  struct stat st {};
  if (::fstatat(at, path, &st, 0) == 0) {
    ::fchmodat(at, path, kDirMode | (st.st_mode & S_ISGID), 0);
  }
}

// mkdir -p.
Result<void> makeDirs(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), kDirMode) == 0) {
      setDirMode(AT_FDCWD, part.c_str());
    } else if (errno != EEXIST) {
      return osError("create " + part);
    }
    if (at == std::string::npos) return {};
  }
}

// A file that is complete before it gets its name; an existing one stays.
Result<void> createOnce(int dir, const char* name, std::string_view content, std::size_t size) {
  if (::faccessat(dir, name, F_OK, 0) == 0) return {};
  const std::string tmp = std::string(name) + "." + randomHex(4) + ".tmp";
  {
    const UniqueFd fd(
        ::openat(dir, tmp.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
    if (!fd) return osError(std::string("create ") + name);
    ::fchmod(fd.get(), kFileMode);
    int err = size > 0 ? ::posix_fallocate(fd.get(), 0, static_cast<off_t>(size)) : 0;
    if (err == 0 && !content.empty() &&
        ::pwrite(fd.get(), content.data(), content.size(), 0) !=
            static_cast<ssize_t>(content.size())) {
      err = errno ? errno : EIO;
    }
    if (err != 0) {
      ::unlinkat(dir, tmp.c_str(), 0);
      return osError(std::string("write ") + name, err);
    }
  }
  // link(2) does not replace what another process made meanwhile.
  if (::linkat(dir, tmp.c_str(), dir, name, 0) != 0 && errno != EEXIST) {
    const int err = errno;
    ::unlinkat(dir, tmp.c_str(), 0);
    return osError(std::string("create ") + name, err);
  }
  ::unlinkat(dir, tmp.c_str(), 0);
  return {};
}

}  // namespace

std::string defaultSpoolDir() {
  // secure_getenv: a setuid program must not be led to a directory of its caller's choice.
  if (const char* s = ::secure_getenv("GODWIT_SPOOL"); s && *s) return s;
  const std::string system = "/var/lib/godwit/spool";
  if (::access(system.c_str(), R_OK | W_OK | X_OK) == 0) return system;
  if (const char* s = ::secure_getenv("XDG_STATE_HOME"); s && *s == '/') {
    return std::string(s) + "/godwit/spool";
  }
  if (const char* s = ::secure_getenv("HOME"); s && *s == '/') {
    return std::string(s) + "/.local/state/godwit/spool";
  }
  return {};
}

Result<std::unique_ptr<SpoolDir>> SpoolDir::open(const std::string& path) {
  if (path.empty()) {
    return Error(ErrorCode::kInvalid, "no place for a spool (hint: set GODWIT_SPOOL)");
  }
  GODWIT_TRY(makeDirs(path + "/" + kLanesDir));
  UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return osError("open " + path);
  std::unique_ptr<SpoolDir> spool(new SpoolDir(path, std::move(dir)));
  GODWIT_TRY(spool->prepare());
  GODWIT_TRY(spool->mapBudget());
  return spool;
}

SpoolDir::~SpoolDir() {
  if (budget_) ::munmap(budget_, kBudgetFileSize);
}

Result<void> SpoolDir::prepare() {
  GODWIT_TRY(createOnce(dir_.get(), "VERSION", kVersionText, 0));
  const std::string version = readSmall((path_ + "/VERSION").c_str());
  if (version != kVersionText) {
    return Error(ErrorCode::kUnsupported, "spool of another version: " + path_);
  }
  std::string budget(64, '\0');
  std::memcpy(budget.data(), kBudgetMagic, sizeof kBudgetMagic);
  std::memcpy(budget.data() + 8, &kFormatVersion, sizeof kFormatVersion);
  GODWIT_TRY(createOnce(dir_.get(), "budget", budget, kBudgetFileSize));
  GODWIT_TRY(createOnce(dir_.get(), "slots", {}, 0));
  for (const char* name : {"cursors", "dead", "agent"}) {
    if (::mkdirat(dir_.get(), name, kDirMode) == 0) {
      setDirMode(dir_.get(), name);
    } else if (errno != EEXIST) {
      return osError(std::string("create ") + name);
    }
  }
  return {};
}

Result<void> SpoolDir::mapBudget() {
  const UniqueFd fd(::openat(dir_.get(), "budget", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return osError("open budget");
  if (!S_ISREG(st.st_mode) || st.st_size < static_cast<off_t>(kBudgetFileSize)) {
    return Error(ErrorCode::kInvalid, "budget file too short in " + path_);
  }
  void* p = ::mmap(nullptr, kBudgetFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (p == MAP_FAILED) return osError("map budget");
  budget_ = static_cast<Budget*>(p);
  if (std::memcmp(budget_->magic, kBudgetMagic, sizeof kBudgetMagic) != 0 ||
      budget_->version != kFormatVersion) {
    return Error(ErrorCode::kUnsupported, "budget file of another version in " + path_);
  }
  return {};
}

Result<void> SpoolDir::reserve(std::uint64_t bytes, const Limits& limits, bool first_of_lane) {
  struct statvfs fs {};
  if (::fstatvfs(dir_.get(), &fs) == 0 && fs.f_blocks > 0) {
    const double unit = static_cast<double>(fs.f_frsize);
    const double left = static_cast<double>(fs.f_bavail) * unit - static_cast<double>(bytes);
    if (left < limits.min_free * static_cast<double>(fs.f_blocks) * unit) {
      return Error(ErrorCode::kLimit, "file system is full up to its reserve");
    }
  }
  const std::uint64_t cap =
      first_of_lane ? limits.max_bytes : limits.max_bytes - limits.max_bytes / 8;
  const auto fits = [&] {
    const std::uint64_t before =
        budget_->bytes_allocated.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes <= cap && before + bytes >= before) return true;
    release(bytes);
    return false;
  };
  if (fits()) return {};
  // The account may be wrong: processes die between a file and its booking. Looking costs a
  // directory walk, so not more often than this.
  constexpr std::int64_t kScanEveryMs = 200;
  const std::int64_t now = monotonicMs();
  std::int64_t last = last_scan_ms_.load(std::memory_order_relaxed);
  if (now - last < kScanEveryMs ||
      !last_scan_ms_.compare_exchange_strong(last, now, std::memory_order_relaxed)) {
    return Error(ErrorCode::kLimit, "spool is full");
  }
  rescan();
  if (fits()) return {};
  // A good piece at once, because the next look is some time away.
  if (!agentAlive() && makeRoom(std::max(bytes, limits.max_bytes / 16)) > 0 && fits()) return {};
  return Error(ErrorCode::kLimit, "spool is full");
}

void SpoolDir::release(std::uint64_t bytes) {
  // Never below zero, even when a scan has corrected the account in between.
  std::uint64_t now = budget_->bytes_allocated.load(std::memory_order_relaxed);
  while (!budget_->bytes_allocated.compare_exchange_weak(now, now > bytes ? now - bytes : 0,
                                                         std::memory_order_relaxed)) {
  }
}

void SpoolDir::announceSpace() {
  budget_->space_seq.fetch_add(1, std::memory_order_relaxed);
  ::syscall(SYS_futex, &budget_->space_seq, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void SpoolDir::waitForSpace(int timeout_ms) {
  const timespec t{timeout_ms / 1000, static_cast<long>(timeout_ms % 1000) * 1'000'000};
  const std::uint32_t seen = budget_->space_seq.load(std::memory_order_relaxed);
  ::syscall(SYS_futex, &budget_->space_seq, FUTEX_WAIT, seen, &t, nullptr, 0);
}

std::uint64_t SpoolDir::rescan() {
  const std::uint64_t bytes = spoolBytes(path_);
  budget_->bytes_allocated.store(bytes, std::memory_order_relaxed);
  return bytes;
}

std::uint64_t SpoolDir::makeRoom(std::uint64_t bytes) {
  const Room room = removeOldestDead(path_, bytes);
  if (room.bytes > 0) release(room.bytes);
  if (room.frames > 0) countDropped(DropReason::kSpoolFull, room.frames, room.samples);
  return room.bytes;
}

bool SpoolDir::agentAlive() const {
  const UniqueFd fd(
      ::openat(dir_.get(), "agent.lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return fd && lockedByOther(fd.get());
}

void SpoolDir::countDropped(DropReason reason, std::uint64_t frames, std::uint64_t samples) {
  const auto i = static_cast<std::size_t>(reason);
  budget_->dropped_frames[i].fetch_add(frames, std::memory_order_relaxed);
  budget_->dropped_samples[i].fetch_add(samples, std::memory_order_relaxed);
}

void SpoolDir::wakeSlow() {
  if (budget_->asleep.exchange(0, std::memory_order_seq_cst) != 0) {
    ::syscall(SYS_futex, &budget_->asleep, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
}

void SpoolDir::sleep(int timeout_ms) {
  const timespec t{timeout_ms / 1000, static_cast<long>(timeout_ms % 1000) * 1'000'000};
  ::syscall(SYS_futex, &budget_->asleep, FUTEX_WAIT, 1, &t, nullptr, 0);
  budget_->asleep.store(0, std::memory_order_relaxed);
}

Result<SpoolDir::NewLane> SpoolDir::createLane(std::uint32_t segment_size, std::int64_t now_ns) {
  std::array<unsigned char, 16> random{};
  randomBytes(random);
  LaneHeader h{};
  std::memcpy(h.magic, kLaneMagic, sizeof h.magic);
  h.version = kFormatVersion;
  std::memcpy(&h.lane_id, random.data(), sizeof h.lane_id);
  h.pid = static_cast<std::uint64_t>(::getpid());
  h.start_time = processStartTime();
  h.created_ns = now_ns;
  h.segment_size = segment_size;
  const std::string tail =
      "-" + bootId8() + "-" + std::to_string(h.pid) + "-" + std::to_string(h.start_time) + "-";

  const UniqueFd slots(::openat(dir_.get(), "slots", O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!slots) return osError("open slots");
  const SlotClaim claim = claimSlot(path_, slots.get(), budget_->slot_rotor);
  h.slot = claim.slot;
  h.crc = laneHeaderCrc(h);
  char number[8];
  std::snprintf(number, sizeof number, "%03u", h.slot % 1000);
  char rand8[12];
  std::snprintf(rand8, sizeof rand8, "%08x", static_cast<unsigned>(h.lane_id.lo));

  NewLane lane;
  lane.dir = path_ + "/" + kLanesDir + "/" + number + tail + rand8;
  // Readers skip names with a dot: the directory shows up with its lane file locked and complete.
  const std::string tmp = lane.dir + ".tmp";
  if (::mkdir(tmp.c_str(), kDirMode) != 0) return osError("create " + tmp);
  setDirMode(AT_FDCWD, tmp.c_str());
  const std::string file = tmp + "/" + kLaneFile;
  const auto giveUp = [&](Error e) {
    ::unlink(file.c_str());
    ::rmdir(tmp.c_str());
    return e;
  };
  lane.lock =
      UniqueFd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!lane.lock) return giveUp(osError("create " + file));
  ::fchmod(lane.lock.get(), kFileMode);
  if (const int err = ::posix_fallocate(lane.lock.get(), 0, kLaneFileSize)) {
    return giveUp(osError("allocate " + file, err));
  }
  if (!lockFile(lane.lock.get())) return giveUp(osError("lock " + file));
  void* p = ::mmap(nullptr, kLaneFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, lane.lock.get(), 0);
  if (p == MAP_FAILED) return giveUp(osError("map " + file));
  std::memcpy(p, &h, offsetof(LaneHeader, frames_total));
  if (::rename(tmp.c_str(), lane.dir.c_str()) != 0) {
    const Error e = osError("rename " + tmp);
    ::munmap(p, kLaneFileSize);
    return giveUp(e);
  }
  lane.header = static_cast<LaneHeader*>(p);
  return lane;
}

}  // namespace godwit::metrics::spool
