#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/crc32c.h"

// Layouts of the spool's files. docs/formats/spool.md is the contract; the asserts below cite it.
// Everything is little endian. Atomics are used where producer and agent share a mapping.
namespace godwit::metrics::spool {

static_assert(std::endian::native == std::endian::little, "spool.md: little endian only");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

inline constexpr char kVersionText[] = "gwspool 1\n";  // content of VERSION
inline constexpr std::uint32_t kFormatVersion = 1;

inline constexpr std::size_t kDefaultSegmentSize = 8u << 20;
inline constexpr std::size_t kMinSegmentSize = 1u << 20;  // spool.md "Segments": 1 to 128 MiB
inline constexpr std::size_t kMaxSegmentSize = 128u << 20;
inline constexpr std::size_t kMaxPayload = 1u << 20;
inline constexpr std::uint32_t kMaxSamplesPerFrame = 0xffff;
inline constexpr std::uint32_t kSlots = 1000;
inline constexpr std::size_t kMaxFreeSegments = 4;  // in lanes/<lane>/free

struct LaneId {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
  friend bool operator==(const LaneId&, const LaneId&) = default;
  friend auto operator<=>(const LaneId&, const LaneId&) = default;
};

// ---- segment: 128-byte header, then frames -----------------------------------------------------

inline constexpr std::size_t kSegmentHeaderSize = 128;
inline constexpr char kSegmentMagic[8] = {'G', 'W', 'S', 'E', 'G', '0', '1', '\n'};

struct SegmentHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t flags;
  LaneId lane_id;
  std::uint64_t seg_no;
  std::uint64_t base_seq;  // seq of the first frame
  std::int64_t created_ns;
  std::uint32_t size;
  std::uint32_t crc;  // of the 60 bytes before it
  // Second cache line: written while the segment is open, hints only. The frames are the truth.
  std::atomic<std::uint64_t> commit_off;  // end of the last committed frame
  std::atomic<std::uint64_t> last_seq;
  std::atomic<std::uint32_t> sealed;
  std::uint32_t reserved0;
  std::uint64_t base_samples;  // n_samples of all frames of the lane before this segment
  std::uint32_t base_samples_crc;
  std::uint32_t reserved1;
  std::uint64_t reserved2[3];
};
static_assert(sizeof(SegmentHeader) == kSegmentHeaderSize);
static_assert(offsetof(SegmentHeader, lane_id) == 16 && offsetof(SegmentHeader, seg_no) == 32);
static_assert(offsetof(SegmentHeader, size) == 56 && offsetof(SegmentHeader, crc) == 60);
static_assert(offsetof(SegmentHeader, commit_off) == 64 && offsetof(SegmentHeader, sealed) == 80);
static_assert(offsetof(SegmentHeader, base_samples) == 88);
static_assert(offsetof(SegmentHeader, base_samples_crc) == 96);

// ---- frame -------------------------------------------------------------------------------------

enum class FrameType : std::uint8_t {
  kMetrics = 1,      // metrics_binary.h
  kKadabraJson = 2,  // a message of the Redis queue, bytes as received
  kStatsd = 3,       // a datagram, bytes as received
  kAggregate = 4,
  kCheckpoint = 5,
  kDropNote = 6,  // DropNote
};

inline constexpr std::uint8_t kForwardToRedis = 1;  // frame flag: the producer's channel is Redis

inline constexpr std::size_t kFrameHeaderSize = 32;
inline constexpr std::uint32_t kLenEnd = 0;              // nothing committed here yet
inline constexpr std::uint32_t kLenSealed = 0xffffffff;  // go on in the next segment

struct FrameHeader {
  std::atomic<std::uint32_t> len;  // payload bytes; stored last, with release
  std::uint32_t crc;               // bytes 8 .. 32+len, seeded with frameSeed()
  std::uint64_t seq;
  std::int64_t ts_ns;
  FrameType type;
  std::uint8_t flags;
  std::uint16_t n_samples;
  std::uint32_t source;  // who received it; 0 for a frame the process measured itself
};
static_assert(sizeof(FrameHeader) == kFrameHeaderSize);
static_assert(offsetof(FrameHeader, crc) == 4 && offsetof(FrameHeader, seq) == 8);
static_assert(offsetof(FrameHeader, ts_ns) == 16 && offsetof(FrameHeader, type) == 24);
static_assert(offsetof(FrameHeader, n_samples) == 26 && offsetof(FrameHeader, source) == 28);

// Bytes that a frame with this payload takes in the segment.
constexpr std::size_t frameSize(std::size_t payload) {
  return kFrameHeaderSize + ((payload + 7) & ~std::size_t{7});
}
// A frame goes where it leaves room for one more header, so that a seal always fits.
constexpr bool frameFits(std::size_t off, std::size_t payload, std::size_t segment_size) {
  return off + frameSize(payload) + kFrameHeaderSize <= segment_size;
}

// Start value of every CRC in a segment: bytes of another lane or of the same disk block's former
// life as another segment can never validate.
constexpr std::uint32_t frameSeed(LaneId lane, std::uint64_t seg_no) {
  const std::uint64_t x = lane.lo ^ lane.hi ^ seg_no;
  return static_cast<std::uint32_t>(x) ^ static_cast<std::uint32_t>(x >> 32);
}
// `frame` points at the header; len + 24 bytes from offset 8 are read.
inline std::uint32_t frameCrc(const char* frame, std::uint32_t len, std::uint32_t seed) {
  return crc32c(frame + 8, kFrameHeaderSize - 8 + len, seed);
}
inline std::uint32_t segmentHeaderCrc(const SegmentHeader& h) {
  return crc32c(&h, offsetof(SegmentHeader, crc));
}
inline std::uint32_t baseSamplesCrc(const SegmentHeader& h) {
  return crc32c(&h.base_samples, sizeof(h.base_samples), frameSeed(h.lane_id, h.seg_no));
}

// ---- drop note: payload of a type-6 frame ------------------------------------------------------

enum class DropReason : std::uint8_t {
  kSpoolFull = 1,    // budget, lane bound or file system
  kOversize = 2,     // one Metrics above kMaxPayload or kMaxSamplesPerFrame
  kNan = 3,          // NaN or infinite, refused when it was recorded (samples, no frame)
  kUnavailable = 4,  // no usable spool and the memory ring overflowed
  kClosed = 5,       // recorded after the client had been shut down
};
inline constexpr std::size_t kDropReasons = 8;  // size of counter arrays; index = reason

struct DropNote {
  std::uint8_t version;  // 1
  DropReason reason;
  std::uint16_t reserved0;
  std::uint32_t reserved1;
  std::uint64_t first_seq;  // the numbered frames that were removed; 0, 0: they never had a number
  std::uint64_t last_seq;
  std::uint64_t frames;
  std::uint64_t samples;
  std::int64_t from_ns;
  std::int64_t to_ns;
};
static_assert(sizeof(DropNote) == 56);

// ---- lane: lanes/<lane>/lane, one page, locked by the living producer -------------------------

inline constexpr std::size_t kLaneFileSize = 4096;
inline constexpr char kLaneMagic[8] = {'G', 'W', 'L', 'A', 'N', 'E', '1', '\n'};

struct LaneHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t slot;
  LaneId lane_id;
  std::uint64_t pid;
  std::uint64_t start_time;  // field 22 of /proc/<pid>/stat
  std::int64_t created_ns;
  std::uint32_t segment_size;
  std::uint32_t crc;  // of the 60 bytes before it
  // Below: the producer's own account, monotone, survives its death.
  std::atomic<std::uint64_t> frames_total;
  std::atomic<std::uint64_t> samples_total;
  std::atomic<std::uint64_t> bytes_total;
  std::atomic<std::uint64_t> ts_ahead_us;    // how far unique timestamps run ahead of the clock
  std::atomic<std::uint64_t> clock_hold_ns;  // how far the wall clock stepped back behind us
  std::atomic<std::uint64_t> reserved[3];
  std::atomic<std::uint64_t> dropped_frames[kDropReasons];
  std::atomic<std::uint64_t> dropped_samples[kDropReasons];
};
static_assert(offsetof(LaneHeader, lane_id) == 16 && offsetof(LaneHeader, crc) == 60);
static_assert(offsetof(LaneHeader, frames_total) == 64);
static_assert(offsetof(LaneHeader, dropped_frames) == 128);
static_assert(offsetof(LaneHeader, dropped_samples) == 192);
static_assert(sizeof(LaneHeader) <= kLaneFileSize);
inline std::uint32_t laneHeaderCrc(const LaneHeader& h) {
  return crc32c(&h, offsetof(LaneHeader, crc));
}

// ---- budget: one page shared by every process of the spool ------------------------------------

inline constexpr std::size_t kBudgetFileSize = 4096;
inline constexpr char kBudgetMagic[8] = {'G', 'W', 'B', 'U', 'D', 'G', '1', '\n'};

struct Budget {
  char magic[8];
  std::uint32_t version;
  std::uint32_t reserved0;
  std::atomic<std::uint64_t> bytes_allocated;  // estimate; recomputed from the files by scans
  std::atomic<std::uint32_t> slot_rotor;       // the next slot to try
  std::atomic<std::uint32_t> reserved1;
  std::uint64_t reserved2[4];
  // Own cache line. The agent sets `asleep` to 1 and waits with FUTEX_WAIT on it (shared, not
  // private); a producer that appends and finds 1 sets 0 and wakes. A lost wake-up costs one poll.
  std::atomic<std::uint32_t> asleep;
  // Whoever frees segments adds 1 and wakes all; producers with policy `block` wait for it.
  std::atomic<std::uint32_t> space_seq;
  std::atomic<std::uint32_t> reserved3[14];
  std::atomic<std::uint64_t> dropped_frames[kDropReasons];
  std::atomic<std::uint64_t> dropped_samples[kDropReasons];
};
static_assert(offsetof(Budget, bytes_allocated) == 16 && offsetof(Budget, asleep) == 64);
static_assert(offsetof(Budget, dropped_frames) == 128 && sizeof(Budget) == 256);

// ---- cursors/<publisher>: two slots A and B, each half of the file -----------------------------

inline constexpr std::size_t kCursorSlotUnit = 4096;  // a slot is a whole number of these
inline constexpr char kCursorMagic[8] = {'G', 'W', 'C', 'U', 'R', '0', '1', '\n'};

struct CursorHeader {
  char magic[8];
  std::uint64_t gen;  // the valid slot with the higher one wins; written to the other slot
  std::uint32_t crc;  // of magic and gen, then of n and the entries
  std::uint32_t n;
};
struct CursorEntry {
  LaneId lane_id;
  std::uint64_t seq;  // every frame up to and including this one is done; 0: none
  std::uint32_t seg;  // where the frame after it begins
  std::uint32_t off;
};
static_assert(sizeof(CursorHeader) == 24 && sizeof(CursorEntry) == 32);
constexpr std::size_t cursorCapacity(std::size_t slot_size) {
  return (slot_size - sizeof(CursorHeader)) / sizeof(CursorEntry);
}
// `slot` points at a CursorHeader followed by n entries; the caller has checked that they fit.
inline std::uint32_t cursorCrc(const char* slot, std::uint32_t n) {
  const std::uint32_t head = crc32c(slot, offsetof(CursorHeader, crc));
  constexpr std::size_t kRest = offsetof(CursorHeader, n);
  return crc32c(slot + kRest, sizeof(std::uint32_t) + n * sizeof(CursorEntry), head);
}

}  // namespace godwit::metrics::spool
