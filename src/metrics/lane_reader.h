#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "metrics/spool_format.h"

// Reads the frames of one lane, alive or dead, whatever state its files are in. Nothing in a lane
// can make it fail, stop or deliver a byte whose CRC is wrong; what cannot be read is reported as a
// Gap with exact frame numbers. docs/formats/spool.md, "Reading".
namespace godwit::metrics::spool {

// Where a reader stands: `seq` is the last frame passed (0: none), seg and off where the next one
// is expected. A cursor entry without the lane. {} starts at the lowest segment.
struct Position {
  std::uint64_t seq = 0;
  std::uint64_t seg = 0;
  std::uint64_t off = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

struct FrameView {
  std::uint64_t seq = 0;
  std::int64_t ts_ns = 0;
  FrameType type{};
  std::uint8_t flags = 0;
  std::uint16_t n_samples = 0;
  std::uint32_t source = 0;
  std::string_view payload;  // until the next call of next()
  Position after;            // to be stored in a cursor when this frame is done
};

// Frames first_seq..last_seq were appended once and cannot be read. first_seq == last_seq + 1 means
// that only bytes were skipped and no frame is missing.
struct Gap {
  enum class Cause : std::uint8_t {
    kCorrupt,  // bytes that fail their CRC
    kMissing,  // a segment that is not there any more, or was reused before it was read
    kTail,     // the end of a dead lane; its own counters say that more had been appended
  };
  Cause cause = Cause::kCorrupt;
  std::uint64_t first_seq = 0;
  std::uint64_t last_seq = 0;
  std::uint64_t corrupt_bytes = 0;
  // Samples in the missing frames. Exact when a later segment tells (samples_exact); otherwise what
  // is known so far, and the rest comes with the next gap report (frames() == 0 then).
  std::uint64_t samples = 0;
  bool samples_exact = false;
  std::uint64_t damaged_seg = 0;  // 0: none; else worth a copy in dead/corrupt
  Position after;

  [[nodiscard]] std::uint64_t frames() const { return last_seq + 1 - first_seq; }
};

enum class ReadStatus : std::uint8_t { kFrame, kGap, kEnd };

class LaneReader {
 public:
  // Opens lanes/<lane>. kNotFound: no such directory. kUnsupported: another version; leave it.
  // A damaged `lane` file is no error as long as one segment header is sound; else kInvalid.
  static Result<LaneReader> open(const std::string& lane_dir, Position start = {});
  LaneReader(LaneReader&&) noexcept;
  LaneReader& operator=(LaneReader&&) noexcept;
  ~LaneReader();

  // Never blocks but for disk reads. kEnd: nothing more for now; call again after a wake-up. Fills
  // `frame` on kFrame, `gap` on kGap. On an I/O error the bytes count as corrupt.
  ReadStatus next(FrameView& frame, Gap& gap);

  [[nodiscard]] const Position& position() const;
  [[nodiscard]] LaneId id() const;
  [[nodiscard]] std::uint32_t slot() const;
  [[nodiscard]] const std::string& dir() const;

  // The producer's lock is free: the lane will not grow any more. Checked anew at each call until
  // it is true once. next() == kEnd called *after* this returned true means the lane is finished.
  bool dead();
  // The producer's own account from the lane file; zeros when it cannot be read.
  struct Account {
    std::uint64_t frames = 0, samples = 0, bytes = 0, ts_ahead_us = 0, clock_hold_ns = 0;
    std::uint64_t dropped_frames[kDropReasons] = {};
    std::uint64_t dropped_samples[kDropReasons] = {};
    std::uint64_t pid = 0;
  };
  Account account() const;

 private:
  struct Impl;
  explicit LaneReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Numbers of the segments in a lane (or its free/) directory, ascending. Empty when unreadable.
std::vector<std::uint64_t> listSegments(const std::string& dir);
std::string segmentName(std::uint64_t seg_no);  // "00000001.seg"
// Names of the lane directories below <spool>/lanes, ascending.
std::vector<std::string> listLanes(const std::string& spool_dir);

// Takes the producer's lock of a lane, if nobody has it. Hold the result while removing the lane.
std::optional<UniqueFd> tryLockLane(const std::string& lane_dir);

}  // namespace godwit::metrics::spool
