#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/result.h"
#include "metrics/lane_files.h"
#include "metrics/spool_format.h"

// Reads the frames of one lane, alive or dead, whatever state its files are in. Nothing in a lane
// can make it fail, stop or deliver a byte whose CRC is wrong; what cannot be read is reported as a
// Gap with exact frame numbers. docs/formats/spool.md, "Reading".
namespace godwit::metrics::spool {

// Where a reader stands: `seq` is the last frame passed (0: none), seg and off where the next one
// is expected. A cursor entry without the lane. {} is the beginning of the lane: what is not there
// any more is then a gap that begins with frame 1.
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
  // The oldest frame that can still be read, for a reader that does not miss what was before it.
  static Position oldest(const std::string& lane_dir);
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
  // The producer's own account from the lane file; not sound when it cannot be read. Once dead()
  // was true it is final: a producer that was killed between committing its last frame and counting
  // it has left it one frame short, and the frames are the truth.
  [[nodiscard]] LaneInfo account() const;

 private:
  struct Impl;
  explicit LaneReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace godwit::metrics::spool
