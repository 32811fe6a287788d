#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "metrics/segment_map.h"
#include "metrics/segment_preparer.h"
#include "metrics/spool_dir.h"
#include "metrics/spool_writer.h"

namespace godwit::metrics::spool {

// The files of one lane as their producer sees them. Not locked; SpoolWriter does that.
class LaneWriter {
 public:
  // Creates the lane and its first segment. kLimit: no room.
  static Result<std::unique_ptr<LaneWriter>> create(SpoolDir& spool, const WriterOptions& options,
                                                    std::int64_t now_ns);
  ~LaneWriter();  // unmaps and closes; the files stay as they are
  LaneWriter(const LaneWriter&) = delete;
  LaneWriter& operator=(const LaneWriter&) = delete;

  struct Frame {
    FrameType type{};
    std::uint16_t n_samples = 0;
    std::uint32_t source = 0;
    bool has_slot = false;
    std::string_view payload;
  };
  enum class Put : std::uint8_t { kDone, kNoRoom, kBroken };
  // `now_ns` becomes the frame's time, or one more than the last frame's if that is later.
  Put put(const Frame& frame, std::int64_t now_ns);
  // A frame that never got a number. Counted at once; the note follows when there is room.
  void countDropped(DropReason reason, std::uint64_t frames, std::uint64_t samples,
                    std::int64_t now_ns);

  // Seals and gives the unused tail back; removes a lane that never had a frame.
  void finish();
  // In the child of a fork: everything here belongs to the parent.
  static void abandon(std::unique_ptr<LaneWriter> lane);

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] LaneHeader& header() { return *header_; }
  [[nodiscard]] std::uint64_t bytesOnDisk() const;
  [[nodiscard]] std::uint64_t fresh() const { return fresh_; }
  [[nodiscard]] std::uint64_t recycled() const { return recycled_; }
  [[nodiscard]] std::uint64_t droppedSegments() const { return dropped_segments_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] std::size_t maxPayload() const;

 private:
  struct Segment {
    std::uint64_t no, base_seq, base_samples, size;
  };
  struct Pending {
    std::uint64_t frames = 0, samples = 0;
    std::int64_t from_ns = 0, to_ns = 0;
  };

  LaneWriter(SpoolDir& spool, const WriterOptions& options) : spool_(spool), options_(options) {}
  Put roll(std::size_t payload, std::int64_t now_ns);
  Put install(SegmentMap next, const std::string& from, std::int64_t now_ns);
  Put noRoom(std::size_t payload, std::int64_t now_ns);
  bool takeFree(std::size_t least, SegmentMap& out);
  bool reuse(std::uint64_t seg_no, int dir, const std::string& name, SegmentMap& out);
  Result<SegmentMap> make(std::size_t size, bool first);
  bool dropOldest(std::size_t least, SegmentMap& out, DropNote& note);
  void refresh();
  void writeFrame(const Frame& frame, std::int64_t now_ns);
  void writeNotes(std::int64_t now_ns);
  void writeNote(const DropNote& note, std::int64_t now_ns);
  std::size_t plannedSize(std::size_t payload) const;

  // Set once
  SpoolDir& spool_;
  const WriterOptions& options_;
  std::string dir_;
  UniqueFd dir_fd_;
  UniqueFd lock_;
  LaneHeader* header_ = nullptr;
  LaneId id_;
  std::uint16_t slot_ = 0;

  SegmentMap cur_;
  std::uint64_t seg_no_ = 0;
  std::size_t off_ = 0;
  std::size_t prepare_at_ = 0;  // offset from which the next segment is wanted ready
  std::uint32_t seed_ = 0;
  std::uint64_t seq_ = 0;
  std::uint64_t samples_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t last_ns_ = 0;
  std::int64_t full_until_ns_ = 0;
  std::deque<Segment> segments_;                             // on disk, ascending, cur_ last
  std::deque<std::pair<std::uint64_t, SegmentMap>> recent_;  // sealed, still mapped
  bool was_recycled_ = false;                                // so keeping maps pays
  Pending pending_[kDropReasons];
  bool has_pending_ = false;
  std::int64_t next_note_ns_ = 0;
  std::unique_ptr<SegmentPreparer> preparer_;
  bool no_preparer_ = false;
  std::uint64_t fresh_ = 0;
  std::uint64_t recycled_ = 0;
  std::uint64_t dropped_segments_ = 0;
  std::string error_;
};

}  // namespace godwit::metrics::spool
