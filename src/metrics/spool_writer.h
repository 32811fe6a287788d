#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/deadline.h"
#include "metrics/spool_dir.h"
#include "metrics/spool_format.h"
#include "metrics/stamp_clock.h"

// One process's lane in a spool, with everything that can go wrong on the way handled: a spool that
// is not there (memory ring, retried), a full one (policy, counted), a fork (the child gets its own
// lane). Any thread. Nothing here throws; nothing blocks unless the policy is kBlock.
namespace godwit::metrics::spool {

enum class DropPolicy : std::uint8_t { kDropOldest, kDropNewest, kBlock };

struct WriterOptions {
  std::string dir;                                 // empty: defaultSpoolDir()
  std::size_t segment_size = kDefaultSegmentSize;  // the largest; a lane starts with less
  std::size_t first_segment_size = kMinSegmentSize;
  Limits limits;
  DropPolicy policy = DropPolicy::kDropOldest;
  std::chrono::milliseconds block_timeout{100};  // kBlock only
  std::size_t ring_bytes = 1u << 20;
  std::chrono::milliseconds retry{5000};  // of an unusable spool
  bool helper_thread = true;              // prepares the next segment
  std::uint8_t frame_flags = 0;           // for every frame
};

enum class AppendStatus : std::uint8_t {
  kSpooled,   // committed: survives the death of this process
  kBuffered,  // in memory until the spool can be used
  kDropped,   // counted
};

struct WriterStats {
  std::uint64_t frames = 0, samples = 0, bytes = 0;
  std::uint64_t dropped_frames[kDropReasons] = {};
  std::uint64_t dropped_samples[kDropReasons] = {};
  std::uint64_t buffered_frames = 0, buffered_bytes = 0;  // in the ring now
  std::uint64_t lane_bytes = 0;                           // segments of this lane on disk
  std::uint64_t segments_fresh = 0, segments_recycled = 0, segments_dropped = 0;
  std::uint64_t spool_unavailable = 0;  // failed attempts
  std::uint64_t ts_ahead_us = 0;
  std::int64_t clock_hold_ns = 0;
  std::string lane;        // directory, empty: none yet
  std::string last_error;  // of the last failed attempt
};

class SpoolWriter {
 public:
  // `clock` must outlive the writer. Nothing is created before the first append.
  SpoolWriter(WriterOptions options, StampClock& clock);
  // Moves the ring to the lane if it can, seals, gives the unused tail back.
  ~SpoolWriter();
  SpoolWriter(const SpoolWriter&) = delete;
  SpoolWriter& operator=(const SpoolWriter&) = delete;

  // Payload: 1 to kMaxPayload bytes. `has_slot`: type-1 payload into which the slot is patched.
  AppendStatus append(FrameType type, std::uint16_t n_samples, std::string_view payload,
                      std::uint32_t source = 0, bool has_slot = false) noexcept;
  // Records that samples were lost before they became a frame.
  void countDropped(DropReason reason, std::uint64_t frames, std::uint64_t samples) noexcept;
  // Moves what waits in memory to the lane, if there can be one by now.
  void flushRing() noexcept;
  [[nodiscard]] std::size_t buffered() const noexcept;  // frames in memory
  // fdatasync of this lane: for those who need more than "survives kill -9". The one call that
  // waits for the disk.
  Result<void> sync() noexcept;

  [[nodiscard]] WriterStats stats() const;
  // Puts the lane out of use (sealed, tail returned). The next append begins another.
  void close() noexcept;

  // pthread_atfork hooks; the client calls them.
  void beforeFork() noexcept;
  void afterForkInParent() noexcept;
  void afterForkInChild() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace godwit::metrics::spool
