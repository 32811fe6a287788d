#include "metrics/spool_room.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <memory>
#include <vector>

#include "metrics/cursor_file.h"
#include "metrics/lane_files.h"

namespace godwit::metrics::spool {
namespace {

std::uint64_t blocksOf(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_blocks) * 512 : 0;
}

std::uint64_t dirBytes(const std::string& dir) {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : listSegments(dir)) sum += blocksOf(dir + "/" + segmentName(n));
  return sum;
}

std::bitset<kSlots> usedSlots(const std::string& spool_dir) {
  std::bitset<kSlots> used;
  for (const std::string& name : listLanes(spool_dir)) {
    const auto digit = [&](std::size_t i) { return static_cast<unsigned>(name[i] - '0'); };
    if (digit(0) < 10 && digit(1) < 10 && digit(2) < 10) {
      used.set(digit(0) * 100 + digit(1) * 10 + digit(2));
    }
  }
  return used;
}

bool lockByte(int fd, std::uint32_t at, short type) {
  struct flock l {};
  l.l_type = type;
  l.l_whence = SEEK_SET;
  l.l_start = at;
  l.l_len = 1;
  return ::fcntl(fd, F_OFD_SETLK, &l) == 0;
}

struct DeadLane {
  std::string dir;
  LaneInfo info;
};

}  // namespace

std::uint64_t spoolBytes(const std::string& spool_dir) {
  std::uint64_t sum = 0;
  for (const std::string& name : listLanes(spool_dir)) {
    const std::string dir = spool_dir + "/" + kLanesDir + "/" + name;
    sum += dirBytes(dir) + dirBytes(dir + "/" + kFreeDir);
  }
  return sum;
}

SlotClaim claimSlot(const std::string& spool_dir, int slots_fd, std::atomic<std::uint32_t>& rotor) {
  const std::uint32_t start = rotor.fetch_add(1, std::memory_order_relaxed) % kSlots;
  std::bitset<kSlots> used = usedSlots(spool_dir);
  for (std::uint32_t i = 0; i < kSlots - 1; ++i) {
    const std::uint32_t slot = (start + i) % kSlots;
    // The last slot is the one that is shared when all others are taken.
    if (slot == kSlots - 1 || used.test(slot) || !lockByte(slots_fd, slot, F_WRLCK)) continue;
    used = usedSlots(spool_dir);  // its former holder may have just named a directory
    if (!used.test(slot)) return {slot, false};
    lockByte(slots_fd, slot, F_UNLCK);
  }
  return {};
}

std::uint64_t ackedByAll(const std::string& spool_dir, LaneId lane) {
  const std::string dir = spool_dir + "/cursors";
  std::vector<std::string> names;
  if (DIR* d = opendir(dir.c_str())) {
    while (const dirent* e = readdir(d)) {
      const std::string_view name = e->d_name;
      if (name.front() != '.' && !name.ends_with(".tmp")) names.emplace_back(name);
    }
    closedir(d);
  }
  if (names.empty()) return 0;
  std::uint64_t lowest = ~std::uint64_t{0};
  for (const std::string& name : names) {
    std::uint64_t seq = 0;
    for (const CursorEntry& e : CursorFile::read(dir + "/" + name)) {
      if (e.lane_id == lane) seq = e.seq;
    }
    lowest = std::min(lowest, seq);
  }
  return lowest;
}

SegmentCount countSegment(int fd, LaneId lane, std::uint64_t seg_no, std::uint64_t acked_seq) {
  SegmentCount out;
  struct stat st {};
  if (::fstat(fd, &st) != 0) return out;
  const auto size =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(st.st_size), kMaxSegmentSize);
  const std::uint32_t seed = frameSeed(lane, seg_no);
  std::vector<char> frame(kFrameHeaderSize);
  for (std::uint64_t off = kSegmentHeaderSize; off + kFrameHeaderSize <= size;) {
    frame.resize(kFrameHeaderSize);
    if (!preadAll(fd, frame.data(), frame.size(), off)) break;
    std::uint32_t len = 0;
    std::memcpy(&len, frame.data(), sizeof len);
    if (len == kLenEnd || len > kMaxPayload || off + frameSize(len) > size) break;
    frame.resize(kFrameHeaderSize + len);
    if (!preadAll(fd, frame.data(), frame.size(), off)) break;
    std::uint32_t crc = 0;
    std::memcpy(&crc, frame.data() + offsetof(FrameHeader, crc), sizeof crc);
    if (frameCrc(frame.data(), len, seed) != crc) break;
    std::uint64_t seq = 0;
    std::uint16_t samples = 0;
    std::int64_t ts = 0;
    std::memcpy(&seq, frame.data() + offsetof(FrameHeader, seq), sizeof seq);
    std::memcpy(&ts, frame.data() + offsetof(FrameHeader, ts_ns), sizeof ts);
    std::memcpy(&samples, frame.data() + offsetof(FrameHeader, n_samples), sizeof samples);
    if (seq > acked_seq) {
      if (out.frames == 0) {
        out.first_seq = seq;
        out.first_ns = ts;
      }
      out.last_seq = seq;
      out.last_ns = ts;
      ++out.frames;
      out.samples += samples;
    }
    off += frameSize(len);
  }
  return out;
}

void removeLane(const std::string& dir) {
  for (const std::uint64_t n : listSegments(dir)) ::unlink((dir + "/" + segmentName(n)).c_str());
  const std::string free_dir = dir + "/" + kFreeDir;
  for (const std::uint64_t n : listSegments(free_dir)) {
    ::unlink((free_dir + "/" + segmentName(n)).c_str());
  }
  ::rmdir(free_dir.c_str());
  std::vector<std::string> left;
  if (DIR* d = opendir(dir.c_str())) {
    while (const dirent* e = readdir(d)) {
      if (std::string_view(e->d_name).ends_with(".tmp")) left.emplace_back(e->d_name);
    }
    closedir(d);
  }
  for (const std::string& name : left) ::unlink((dir + "/" + name).c_str());
  ::unlink((dir + "/" + kLaneFile).c_str());
  ::rmdir(dir.c_str());
}

void removeAbandonedLanes(const std::string& spool_dir, std::int64_t now_ns) {
  constexpr std::int64_t kOldS = 60;
  const std::string lanes = spool_dir + "/" + kLanesDir;
  std::vector<std::string> found;
  if (DIR* d = opendir(lanes.c_str())) {
    while (const dirent* e = readdir(d)) {
      if (std::string_view(e->d_name).ends_with(".tmp")) found.push_back(lanes + "/" + e->d_name);
    }
    closedir(d);
  }
  for (const std::string& dir : found) {
    struct stat st {};
    if (::lstat(dir.c_str(), &st) != 0 || st.st_mtim.tv_sec > now_ns / 1'000'000'000 - kOldS) {
      continue;
    }
    const UniqueFd lane(
        ::open((dir + "/" + kLaneFile).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!lane || !lockedByOther(lane.get())) removeLane(dir);
  }
}

Room removeOldestDead(const std::string& spool_dir, std::uint64_t bytes) {
  std::vector<DeadLane> dead;
  for (const std::string& name : listLanes(spool_dir)) {
    std::string dir = spool_dir + "/" + kLanesDir + "/" + name;
    auto lock = tryLockLane(dir);
    if (!lock) continue;
    const LaneInfo info = readLaneInfo(lock->get());
    // Not kept locked: a program may not have that many descriptors.
    if (info.sound) dead.push_back({std::move(dir), info});
  }
  std::sort(dead.begin(), dead.end(), [](const DeadLane& a, const DeadLane& b) {
    return a.info.created_ns < b.info.created_ns;
  });
  Room room;
  for (const DeadLane& lane : dead) {
    const auto lock = tryLockLane(lane.dir);
    if (!lock) continue;  // somebody else is removing it
    const std::uint64_t acked = ackedByAll(spool_dir, lane.info.lane_id);
    const auto segments = listSegments(lane.dir);
    std::size_t removed = 0;
    for (const std::uint64_t n : segments) {
      if (room.bytes >= bytes) break;
      const std::string path = lane.dir + "/" + segmentName(n);
      const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      const std::uint64_t size = blocksOf(path);
      const SegmentCount count =
          fd ? countSegment(fd.get(), lane.info.lane_id, n, acked) : SegmentCount{};
      if (::unlink(path.c_str()) != 0) continue;
      ++removed;
      room.bytes += size;
      room.frames += count.frames;
      room.samples += count.samples;
    }
    if (removed == segments.size()) removeLane(lane.dir);
    if (room.bytes >= bytes) break;
  }
  return room;
}

}  // namespace godwit::metrics::spool
