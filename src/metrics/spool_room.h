#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "metrics/spool_format.h"

// Walks over the whole spool: how much is there, which slots are free, what can go first.
namespace godwit::metrics::spool {

// Allocated blocks of all segments, in bytes.
std::uint64_t spoolBytes(const std::string& spool_dir);

// A slot that no lane directory carries, starting at the rotor, so that a freed one rests as long
// as possible. `lock` holds the slot's byte in the slots file until the directory exists. When all
// are taken it is the last slot, shared, and timestamps may collide (docs/metrics.md, "Time").
struct SlotClaim {
  std::uint32_t slot = kSlots - 1;
  bool shared = true;
};
SlotClaim claimSlot(const std::string& spool_dir, int slots_fd, std::atomic<std::uint32_t>& rotor);

// Removes a lane that is finished: segments, leftovers, the lane file, the directory. The caller
// holds its lock and has put every cursor that needed it on disk.
void removeLane(const std::string& lane_dir);

// Removes lane directories that were left half made by a process that died meanwhile: those older
// than a minute whose lane file nobody has locked.
void removeAbandonedLanes(const std::string& spool_dir, std::int64_t now_ns);

struct Room {
  std::uint64_t bytes = 0;
  std::uint64_t frames = 0;   // not acknowledged by every cursor
  std::uint64_t samples = 0;  // in those, as far as segment headers tell
};
// Removes the oldest segments of dead lanes until `bytes` are free or no dead lane is left.
Room removeOldestDead(const std::string& spool_dir, std::uint64_t bytes);

// Frames of a segment beyond `acked_seq`, and their samples, by walking it.
struct SegmentCount {
  std::uint64_t first_seq = 0, last_seq = 0;  // of the counted ones; 0, 0: none
  std::uint64_t frames = 0, samples = 0;
  std::int64_t first_ns = 0, last_ns = 0;
};
SegmentCount countSegment(int fd, LaneId lane, std::uint64_t seg_no, std::uint64_t acked_seq);

// The lowest seq that every cursor file of the spool has for this lane; 0 when there is none.
std::uint64_t ackedByAll(const std::string& spool_dir, LaneId lane);

}  // namespace godwit::metrics::spool
