// What the log may forget: segments and lanes that every required consumer has passed.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "agent/log.h"

namespace godwit::agent {

using spool::Position;

// The lowest position any required consumer of this lane's role stands at. False: one of them has
// not passed anything yet.
bool Log::passedBy(const Consumer& consumer, const Known& known, Position& min) const {
  auto it = consumer.positions.find(known.lane->id);
  if (it == consumer.positions.end()) return false;
  const Position& p = it->second;
  if (p.seg < min.seg || (p.seg == min.seg && p.seq < min.seq)) min = p;
  return true;
}

void Log::clean() {
  std::lock_guard lock(mu_);
  std::uint64_t bytes = 0;
  std::vector<std::string> removed;
  for (auto& [dir, k] : known_) {
    LaneRole role = k.lane->role.load();
    if (role == LaneRole::kUnknown) continue;
    Position min{std::numeric_limits<std::uint64_t>::max(),
                 std::numeric_limits<std::uint64_t>::max(), 0};
    bool all = true;
    bool any = false;
    for (const auto& [name, c] : consumers_) {
      if (c.role != role || !c.required) continue;
      any = true;
      all = all && passedBy(c, k, min);
    }
    // Its producer died before the first frame: no cursor will ever name it.
    bool empty = k.lane->dead.load() && k.account.frames == 0 && finished(k, {});
    if (empty && removeLane(k)) {
      removed.push_back(dir);
      continue;
    }
    if (any && all) {
      if (k.lane->dead.load() && finished(k, min) && removeLane(k)) {
        removed.push_back(dir);
        continue;
      }
      removeSegments(k, min.seg);
    }
    for (auto seg : spool::listSegments(dir)) {
      struct stat st {};
      if (::stat((dir + "/" + spool::segmentName(seg)).c_str(), &st) == 0) {
        bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
      }
    }
  }
  for (const auto& dir : removed) known_.erase(dir);
  if (!removed.empty()) version_.fetch_add(1, std::memory_order_acq_rel);
  counts_.bytes_on_disk = bytes;
}

// Nothing follows `at` in a dead lane.
bool Log::finished(const Known& known, const Position& at) const {
  if (at.seq < known.account.frames) return false;
  auto reader = spool::LaneReader::open(known.lane->dir, at);
  if (!reader || !reader->dead()) return false;
  spool::FrameView frame;
  spool::Gap gap;
  return reader->next(frame, gap) == spool::ReadStatus::kEnd;
}

void Log::removeSegments(Known& known, std::uint64_t below) {
  const std::string& dir = known.lane->dir;
  auto segments = spool::listSegments(dir);
  if (segments.empty() || segments.front() >= below) return;
  std::string free_dir = dir + "/free";
  auto free_segments = spool::listSegments(free_dir);
  std::size_t free_count = free_segments.size();
  for (std::uint64_t seg : segments) {
    // The last one may be the one being written, whatever a cursor says.
    if (seg >= below || seg == segments.back()) break;
    std::string path = dir + "/" + spool::segmentName(seg);
    if (!known.lane->dead.load() && free_count < spool::kMaxFreeSegments) {
      ::mkdir(free_dir.c_str(), 0770);
      if (::rename(path.c_str(), (free_dir + "/" + spool::segmentName(seg)).c_str()) == 0) {
        ++free_count;
        ++counts_.recycled_segments;
      }
      continue;
    }
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && ::unlink(path.c_str()) == 0) {
      spool_->release(static_cast<std::uint64_t>(st.st_size));
      ++counts_.removed_segments;
    }
  }
}

// REQUIRES that every required consumer's durable cursor is past the end. Order: segments, lane,
// directory; a crash in between leaves a lane that is finished by the next clean().
bool Log::removeLane(Known& known) {
  const std::string& dir = known.lane->dir;
  auto lock = spool::tryLockLane(dir);
  if (!lock) return false;
  bool statsd = known.lane->role.load() == LaneRole::kStatsd;
  if (!retired_.add(dir.substr(dir.rfind('/') + 1), statsd, known.account)) return false;
  std::uint64_t bytes = 0;
  for (const std::string& sub : {dir + "/free", dir}) {
    for (std::uint64_t seg : spool::listSegments(sub)) {
      struct stat st {};
      std::string path = sub + "/" + spool::segmentName(seg);
      if (::stat(path.c_str(), &st) == 0 && ::unlink(path.c_str()) == 0) {
        bytes += static_cast<std::uint64_t>(st.st_size);
      }
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
  spool_->release(bytes);
  known.lane->gone.store(true);
  ++counts_.removed_lanes;
  for (auto& [name, c] : consumers_) c.positions.erase(known.lane->id);
  return true;
}

}  // namespace godwit::agent
