#include "agent/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/clock.h"
#include "base/log.h"
#include "base/os_error.h"
#include "metrics/cursor_file.h"
#include "metrics/spool_room.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using spool::Position;

constexpr auto kPoll = 100ms;  // a lost wake-up costs this much
constexpr auto kQuiet = 5ms;   // producers pay for at most one wake-up in this time
constexpr auto kDirectoryEvery = 100ms;
constexpr auto kCleanEvery = 200ms;
constexpr auto kCleanSoon = 20ms;  // when a consumer has passed a segment
constexpr int kCleanShare = 20;    // and cleaning takes at most one part in this many of the time
constexpr auto kAbandonedEvery = 30s;

bool takeLock(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(LogOptions options, Deadline deadline,
                                       const std::function<bool()>& stop) {
  auto dir = spool::SpoolDir::open(options.dir);
  if (!dir) return std::move(dir).error();
  std::string path = options.dir + "/agent.lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660));
  if (!lock) return osError("open " + path);
  bool told = false;
  while (!takeLock(lock.get())) {
    if (errno != EAGAIN && errno != EACCES) return osError("lock " + path);
    if (!told) {
      log::info("agent.standby", {{"spool", options.dir}, {"why", "another agent has it"}});
      told = true;
    }
    if (stop() || deadline.expired()) {
      return Error(ErrorCode::kTimeout, "another agent serves " + options.dir);
    }
    // OFD locks cannot be waited for with a deadline; a standby looks ten times a second.
    std::this_thread::sleep_for(100ms);
  }
  std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) == 0) {
    [[maybe_unused]] ssize_t n = ::pwrite(lock.get(), text.data(), text.size(), 0);
  }
  for (const char* sub : {"/cursors", "/dead", "/agent"}) {
    std::string d = options.dir + sub;
    if (::mkdir(d.c_str(), 0770) != 0 && errno != EEXIST) return osError("create " + d);
  }
  std::unique_ptr<Log> log(new Log(std::move(options), std::move(dir).value(), std::move(lock)));
  log->retired_ = RetiredLanes::load(log->options_.dir);
  log->loadForeignCursors();
  log->scan();
  return log;
}

Log::Log(LogOptions options, std::unique_ptr<spool::SpoolDir> dir, UniqueFd lock)
    : options_(std::move(options)), spool_(std::move(dir)), lock_(std::move(lock)) {}

Log::~Log() {
  if (!stopping_.load()) stop();
}

// A publisher that is no longer configured still pins what it has not seen, until somebody says
// `godwit-agent cursor rm`. addConsumer() of a configured one replaces the entry.
void Log::loadForeignCursors() {
  DIR* d = ::opendir((options_.dir + "/cursors").c_str());
  if (!d) return;
  while (const dirent* e = ::readdir(d)) {
    std::string name = e->d_name;
    if (name[0] == '.' || name.ends_with(".tmp")) continue;
    Consumer c{LaneRole::kPoints, true, true, {}};
    for (const auto& entry : spool::CursorFile::read(options_.dir + "/cursors/" + name)) {
      c.positions[entry.lane_id] = {entry.seq, entry.seg, entry.off};
    }
    consumers_[name] = std::move(c);
  }
  ::closedir(d);
}

std::vector<LanePtr> Log::lanes() const {
  std::lock_guard lock(mu_);
  std::vector<LanePtr> out;
  out.reserve(known_.size());
  for (const auto& [dir, k] : known_) out.push_back(k.lane);
  std::sort(out.begin(), out.end(), [](const LanePtr& a, const LanePtr& b) {
    return std::tie(a->created_ns, a->dir) < std::tie(b->created_ns, b->dir);
  });
  return out;
}

void Log::waitGrowth(std::uint64_t seen, Deadline deadline) {
  std::unique_lock lock(wait_mu_);
  auto grown = [&] { return growth() != seen || stopping_.load(); };
  if (deadline.isNever()) {
    grown_.wait_for(lock, 1s, grown);
  } else {
    grown_.wait_until(lock, deadline.when(), grown);
  }
}

void Log::wakeReaders() {
  {
    std::lock_guard lock(wait_mu_);
    growth_.fetch_add(1, std::memory_order_acq_rel);
  }
  grown_.notify_all();
}

void Log::addConsumer(const std::string& name, LaneRole role, bool required) {
  std::lock_guard lock(mu_);
  auto& c = consumers_[name];
  c.role = role;
  c.required = required;
  c.foreign = false;
}

void Log::disownConsumer(const std::string& name) {
  std::lock_guard lock(mu_);
  auto it = consumers_.find(name);
  if (it == consumers_.end()) return;
  it->second.foreign = true;
  it->second.required = true;
}

std::vector<std::string> Log::foreignConsumers() const {
  std::lock_guard lock(mu_);
  std::vector<std::string> out;
  for (const auto& [name, c] : consumers_) {
    if (c.foreign) out.push_back(name);
  }
  return out;
}

// `godwit-agent cursor rm` removes the file; that is all it can do while an agent runs.
void Log::forgetForeignCursors() {
  std::lock_guard lock(mu_);
  std::erase_if(consumers_, [&](const auto& c) {
    return c.second.foreign && ::access((options_.dir + "/cursors/" + c.first).c_str(), F_OK) != 0;
  });
}

Log::Mark Log::mark(LaneRole role) {
  if (scan()) wakeReaders();
  std::lock_guard lock(mu_);
  Mark m;
  for (auto& [dir, k] : known_) {
    if (k.lane->role.load() != role) continue;
    m[k.lane->id] = k.account.frames;
  }
  return m;
}

void Log::passed(const std::string& consumer, const std::map<LaneId, Position>& positions) {
  std::lock_guard lock(mu_);
  auto it = consumers_.find(consumer);
  if (it == consumers_.end()) return;
  for (const auto& [id, position] : positions) {
    Position& known = it->second.positions[id];
    if (position.seg > known.seg) passed_segment_.store(true, std::memory_order_relaxed);
    known = position;
  }
}

void Log::start() {
  thread_ = std::thread([this] { main(); });
}

void Log::stop() {
  if (!stopping_.exchange(true)) {
    spool_->budget().asleep.store(1);
    spool_->wakeAgent();
    wakeReaders();
  }
  if (thread_.joinable()) thread_.join();
}

Log::Totals Log::totals() {
  if (scan()) wakeReaders();
  std::lock_guard lock(mu_);
  Totals t;
  static_cast<LaneSums&>(t) = retired_.sums();
  t.bytes_on_disk = counts_.bytes_on_disk;
  t.removed_lanes = counts_.removed_lanes;
  t.recycled_segments = counts_.recycled_segments;
  t.removed_segments = counts_.removed_segments;
  t.sync_ns = counts_.sync_ns;
  for (const auto& [dir, k] : known_) {
    t.add(k.lane->role.load() == LaneRole::kStatsd, k.account);
    (k.lane->dead.load() ? t.dead_lanes : t.live_lanes) += 1;
  }
  return t;
}

void Log::findRole(Known& known) {
  if (known.lane->role.load() != LaneRole::kUnknown) return;
  spool::FrameView frame;
  spool::Gap gap;
  // Only what cannot decide is skipped; bounded by the lane.
  for (auto s = known.probe->next(frame, gap); s != spool::ReadStatus::kEnd;
       s = known.probe->next(frame, gap)) {
    if (s != spool::ReadStatus::kFrame) continue;
    LaneRole role = roleOf(frame.type);
    if (role == LaneRole::kUnknown) continue;
    known.lane->role.store(role);
    return;
  }
  // A finished lane with nothing to read: its gaps and drops are for the publishers to account.
  if (known.lane->dead.load()) known.lane->role.store(LaneRole::kPoints);
}

// True when something was appended or a lane appeared.
bool Log::scan() {
  std::lock_guard lock(mu_);
  bool changed = false;
  bool complete = true;
  std::vector<std::string> names = spool::listLanes(options_.dir);
  for (const std::string& name : names) {
    std::string dir = options_.dir + "/lanes/" + name;
    if (known_.contains(dir) || refused_.contains(dir)) continue;
    auto reader = spool::LaneReader::open(dir);
    if (!reader) {
      if (reader.error().code == ErrorCode::kNotFound) continue;  // being made, or just removed
      if (reader.error().code == ErrorCode::kOs) complete = false;
      if (reader.error().code == ErrorCode::kUnsupported) {
        log::warn("spool.lane_unsupported", {{"lane", dir}, {"why", reader.error().message}});
        refused_.insert(dir);
      }
      continue;
    }
    Known k;
    k.lane = std::make_shared<Lane>();
    k.lane->dir = dir;
    k.lane->id = reader->id();
    k.lane->created_ns = reader->account().created_ns;
    k.probe = std::make_unique<spool::LaneReader>(std::move(reader).value());
    known_.emplace(dir, std::move(k));
    version_.fetch_add(1, std::memory_order_acq_rel);
    changed = true;
  }
  complete_.store(complete, std::memory_order_release);
  for (auto& [dir, k] : known_) {
    // Asked first: the account of a dead lane is final.
    bool died = !k.lane->dead.load() && k.probe->dead();
    auto a = k.probe->account();
    changed = changed || died || a.frames != k.account.frames;
    k.account = a;
    k.lane->frames.store(a.frames, std::memory_order_relaxed);
    k.lane->samples.store(a.samples, std::memory_order_relaxed);
    k.lane->bytes.store(a.bytes, std::memory_order_relaxed);
    if (died) k.lane->dead.store(true);
    if (k.lane->role.load() == LaneRole::kUnknown && (a.frames > 0 || k.lane->dead.load())) {
      findRole(k);
      changed = changed || k.lane->role.load() != LaneRole::kUnknown;
    }
  }
  return changed;
}

void Log::main() {
  auto next_clean = std::chrono::steady_clock::now();
  auto not_before = next_clean;
  auto next_sync = next_clean + options_.sync;
  auto next_abandoned = next_clean;
  while (!stopping_.load()) {
    spool_->announceSleep();
    bool changed = scan();
    if (changed) wakeReaders();
    auto now = std::chrono::steady_clock::now();
    if (now >= next_clean ||
        (passed_segment_.load(std::memory_order_relaxed) && now >= not_before)) {
      passed_segment_.store(false, std::memory_order_relaxed);
      forgetForeignCursors();
      clean();
      next_clean = now + kCleanEvery;
      auto took = std::chrono::steady_clock::now() - now;
      not_before =
          now + std::max<std::chrono::steady_clock::duration>(kCleanSoon, took * kCleanShare);
    }
    if (now >= next_abandoned) {
      spool::removeAbandonedLanes(options_.dir, Clock::system().nowNs());
      next_abandoned = now + kAbandonedEvery;
    }
    if (options_.sync > 0ns && now >= next_sync) {
      syncLanes();
      next_sync = now + options_.sync;
    }
    if (changed) {
      std::this_thread::sleep_for(kQuiet);
    } else {
      spool_->sleep(static_cast<int>(kPoll / 1ms));
    }
  }
  spool_->budget().asleep.store(0);
}

// Against power loss. Only lanes that grew since the last time.
void Log::syncLanes() {
  std::vector<std::pair<std::string, std::uint64_t>> dirty;
  {
    std::lock_guard lock(mu_);
    for (auto& [dir, k] : known_) {
      if (k.account.frames == k.synced_frames) continue;
      k.synced_frames = k.account.frames;
      auto segments = spool::listSegments(dir);
      // The last two: the one being written and the one sealed since.
      std::size_t first = segments.size() > 2 ? segments.size() - 2 : 0;
      for (std::size_t i = first; i < segments.size(); ++i) dirty.emplace_back(dir, segments[i]);
    }
  }
  if (dirty.empty()) return;
  auto begin = std::chrono::steady_clock::now();
  for (const auto& [dir, seg] : dirty) {
    UniqueFd fd(::open((dir + "/" + spool::segmentName(seg)).c_str(), O_RDWR | O_CLOEXEC));
    if (fd) ::fdatasync(fd.get());
  }
  std::lock_guard lock(mu_);
  counts_.sync_ns = (std::chrono::steady_clock::now() - begin).count();
}

}  // namespace godwit::agent
