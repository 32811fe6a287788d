#include "metrics/spool_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>

#include "base/os_error.h"
#include "metrics/fork_mark.h"
#include "metrics/frame_ring.h"
#include "metrics/futex_lock.h"
#include "metrics/lane_files.h"
#include "metrics/lane_writer.h"

namespace godwit::metrics::spool {

struct SpoolWriter::Impl {
  Impl(WriterOptions o, StampClock& c) : options(std::move(o)), clock(c), ring(options.ring_bytes) {
    options.segment_size = std::clamp(options.segment_size, kMinSegmentSize, kMaxSegmentSize);
    options.first_segment_size =
        std::clamp(options.first_segment_size, kMinSegmentSize, options.segment_size);
    max_payload = std::min(kMaxPayload, options.segment_size - kMinSegmentSize / 16);
  }

  AppendStatus append(const LaneWriter::Frame& frame) noexcept;
  // nullopt: no room in the lane, nothing counted yet.
  std::optional<AppendStatus> appendLocked(const LaneWriter::Frame& frame, std::int64_t now);
  bool openLane(std::int64_t now);
  void drainRing(std::int64_t now);
  void loseLane(std::int64_t now);
  AppendStatus buffer(const LaneWriter::Frame& frame, std::int64_t now);
  void drop(DropReason reason, std::uint64_t frames, std::uint64_t samples, std::int64_t now);
  void publishClock();
  void addLane(WriterStats& s) const;
  void childReset() noexcept;
  void checkFork() noexcept {
    if (mark.forked()) [[unlikely]]
      childReset();
  }

  // Set once
  WriterOptions options;
  StampClock& clock;
  std::size_t max_payload = 0;

  ForkMark mark;
  FutexLock lock;
  // Guarded by lock
  std::shared_ptr<SpoolDir> spool;  // shared with a thread that waits for room outside the lock
  std::unique_ptr<LaneWriter> lane;
  FrameRing ring;
  std::int64_t retry_at = 0;
  DropReason why_not = DropReason::kUnavailable;  // why there is no lane
  WriterStats base;                               // what the present lane's header does not count
};

void SpoolWriter::Impl::drop(DropReason reason, std::uint64_t frames, std::uint64_t samples,
                             std::int64_t now) {
  if (lane) return lane->countDropped(reason, frames, samples, now);
  base.dropped_frames[static_cast<std::size_t>(reason)] += frames;
  base.dropped_samples[static_cast<std::size_t>(reason)] += samples;
  if (spool) spool->countDropped(reason, frames, samples);
}

// For those who look at the lane's file; written only when it changes.
void SpoolWriter::Impl::publishClock() {
  LaneHeader& h = lane->header();
  const std::uint64_t ahead = clock.aheadUs();
  const auto hold = static_cast<std::uint64_t>(clock.holdNs());
  if (h.ts_ahead_us.load(std::memory_order_relaxed) != ahead) {
    h.ts_ahead_us.store(ahead, std::memory_order_relaxed);
  }
  if (h.clock_hold_ns.load(std::memory_order_relaxed) != hold) {
    h.clock_hold_ns.store(hold, std::memory_order_relaxed);
  }
}

void SpoolWriter::Impl::addLane(WriterStats& s) const {
  const LaneHeader& h = lane->header();
  s.frames += h.frames_total.load(std::memory_order_relaxed);
  s.samples += h.samples_total.load(std::memory_order_relaxed);
  s.bytes += h.bytes_total.load(std::memory_order_relaxed);
  s.segments_fresh += lane->fresh();
  s.segments_recycled += lane->recycled();
  s.segments_dropped += lane->droppedSegments();
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    s.dropped_frames[i] += h.dropped_frames[i].load(std::memory_order_relaxed);
    s.dropped_samples[i] += h.dropped_samples[i].load(std::memory_order_relaxed);
  }
}

bool SpoolWriter::Impl::openLane(std::int64_t now) {
  // The stamp clock never goes back, so this is a pause, not a date.
  if (now < retry_at) return false;
  const auto failed = [&](const Error& e) {
    why_not = e.code == ErrorCode::kLimit ? DropReason::kSpoolFull : DropReason::kUnavailable;
    ++base.spool_unavailable;
    base.last_error = e.message;
    retry_at = now + std::chrono::nanoseconds(options.retry).count();
    return false;
  };
  if (!spool) {
    auto dir = SpoolDir::open(options.dir.empty() ? defaultSpoolDir() : options.dir);
    if (!dir.ok()) return failed(dir.error());
    spool = std::move(*dir);
  }
  auto opened = LaneWriter::create(*spool, options, now);
  if (!opened.ok()) {
    // The directory may have been removed and made anew since; look again next time.
    if (opened.error().code != ErrorCode::kLimit) spool.reset();
    return failed(opened.error());
  }
  lane = std::move(*opened);
  return true;
}

// The lane cannot be written any more (its directory is gone, an I/O error).
void SpoolWriter::Impl::loseLane(std::int64_t now) {
  base.last_error = lane->error();
  ++base.spool_unavailable;
  addLane(base);
  lane.reset();
  spool.reset();
  why_not = DropReason::kUnavailable;
  retry_at = now + std::chrono::nanoseconds(options.retry).count();
}

AppendStatus SpoolWriter::Impl::buffer(const LaneWriter::Frame& f, std::int64_t now) {
  FrameRing::Item item;
  item.type = f.type;
  item.has_slot = f.has_slot;
  item.n_samples = f.n_samples;
  item.source = f.source;
  item.ts_ns = now;
  item.payload = f.payload;
  std::uint64_t frames = 0;
  std::uint64_t samples = 0;
  const bool kept = ring.push(std::move(item), frames, samples);
  if (frames > 0) drop(why_not, frames, samples, now);
  return kept ? AppendStatus::kBuffered : AppendStatus::kDropped;
}

void SpoolWriter::Impl::drainRing(std::int64_t now) {
  while (lane && !ring.empty()) {
    const FrameRing::Item& item = ring.front();
    const LaneWriter::Frame f{item.type, item.n_samples, item.source, item.has_slot, item.payload};
    const LaneWriter::Put put = lane->put(f, now);
    if (put == LaneWriter::Put::kBroken) return loseLane(now);
    if (put == LaneWriter::Put::kNoRoom) return;
    ring.pop();
  }
}

std::optional<AppendStatus> SpoolWriter::Impl::appendLocked(const LaneWriter::Frame& frame,
                                                            std::int64_t now) {
  if (!lane) [[unlikely]] {
    if (!openLane(now)) return buffer(frame, now);
    drainRing(now);
    if (!lane) return buffer(frame, now);
  }
  if (!ring.empty()) [[unlikely]] {
    drainRing(now);
    // What came first stays first.
    if (!lane || !ring.empty()) return buffer(frame, now);
  }
  switch (lane->put(frame, now)) {
    case LaneWriter::Put::kDone:
      publishClock();
      spool->wakeAgent();
      return AppendStatus::kSpooled;
    case LaneWriter::Put::kBroken:
      loseLane(now);
      return buffer(frame, now);
    case LaneWriter::Put::kNoRoom:
      break;
  }
  return std::nullopt;
}

AppendStatus SpoolWriter::Impl::append(const LaneWriter::Frame& frame) noexcept {
  try {
    std::int64_t now = clock.nowCoarseNs();
    std::optional<Deadline> deadline;
    std::shared_ptr<SpoolDir> full;
    for (;;) {
      {
        const std::lock_guard guard(lock);
        if (frame.payload.empty() || frame.payload.size() > max_payload) {
          drop(DropReason::kOversize, 1, frame.n_samples, now);
          return AppendStatus::kDropped;
        }
        if (const auto done = appendLocked(frame, now)) return *done;
        if (options.policy != DropPolicy::kBlock || (deadline && deadline->expired())) {
          drop(DropReason::kSpoolFull, 1, frame.n_samples, now);
          return AppendStatus::kDropped;
        }
        full = spool;
      }
      if (!deadline) deadline = Deadline::after(options.block_timeout);
      full->waitForSpace(std::min(20, deadline->pollTimeoutMs() + 1));
      now = clock.nowNs();
    }
  } catch (const std::exception&) {
    // Out of memory while opening or buffering. The count needs none.
    const std::lock_guard guard(lock);
    base.dropped_frames[static_cast<std::size_t>(DropReason::kUnavailable)] += 1;
    base.dropped_samples[static_cast<std::size_t>(DropReason::kUnavailable)] += frame.n_samples;
    return AppendStatus::kDropped;
  }
}

void SpoolWriter::Impl::childReset() noexcept {
  lock.reset();
  clock.afterForkInChild();
  if (lane) LaneWriter::abandon(std::move(lane));
  // Frames in the ring are the parent's to deliver, and its counters are its own.
  ring.clear();
  base = {};
  retry_at = 0;
  mark.set();
}

SpoolWriter::SpoolWriter(WriterOptions options, StampClock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

SpoolWriter::~SpoolWriter() { close(); }

AppendStatus SpoolWriter::append(FrameType type, std::uint16_t n_samples, std::string_view payload,
                                 std::uint32_t source, bool has_slot) noexcept {
  impl_->checkFork();
  return impl_->append({type, n_samples, source, has_slot, payload});
}

void SpoolWriter::countDropped(DropReason reason, std::uint64_t frames,
                               std::uint64_t samples) noexcept {
  impl_->checkFork();
  const std::int64_t now = impl_->clock.nowNs();
  const std::lock_guard guard(impl_->lock);
  impl_->drop(reason, frames, samples, now);
}

void SpoolWriter::flushRing() noexcept try {
  impl_->checkFork();
  const std::int64_t now = impl_->clock.nowNs();
  const std::lock_guard guard(impl_->lock);
  if (impl_->ring.empty()) return;
  impl_->retry_at = 0;  // asked for, so the pause does not count
  if (impl_->lane || impl_->openLane(now)) impl_->drainRing(now);
} catch (const std::exception&) {
  // Stays in the ring.
}

std::size_t SpoolWriter::buffered() const noexcept {
  impl_->checkFork();
  const std::lock_guard guard(impl_->lock);
  return impl_->ring.frames();
}

Result<void> SpoolWriter::sync() noexcept try {
  impl_->checkFork();
  std::string dir;
  {
    const std::lock_guard guard(impl_->lock);
    if (impl_->lane) dir = impl_->lane->dir();
  }
  if (dir.empty()) return {};
  for (const std::uint64_t n : listSegments(dir)) {
    const UniqueFd fd(::open((dir + "/" + segmentName(n)).c_str(), O_RDONLY | O_CLOEXEC));
    if (fd && ::fdatasync(fd.get()) != 0) return osError("sync " + dir);
  }
  return {};
} catch (const std::exception&) {
  return Error(ErrorCode::kInternal, "out of memory");
}

WriterStats SpoolWriter::stats() const {
  impl_->checkFork();
  const std::lock_guard guard(impl_->lock);
  WriterStats s = impl_->base;
  if (impl_->lane) {
    impl_->addLane(s);
    s.lane_bytes = impl_->lane->bytesOnDisk();
    s.lane = impl_->lane->dir();
  }
  s.buffered_frames = impl_->ring.frames();
  s.buffered_bytes = impl_->ring.bytes();
  s.ts_ahead_us = impl_->clock.aheadUs();
  s.clock_hold_ns = impl_->clock.holdNs();
  return s;
}

void SpoolWriter::close() noexcept try {
  impl_->checkFork();
  const std::int64_t now = impl_->clock.nowNs();
  const std::lock_guard guard(impl_->lock);
  if (!impl_->ring.empty()) {
    impl_->retry_at = 0;  // the last chance
    if (impl_->lane || impl_->openLane(now)) impl_->drainRing(now);
  }
  if (!impl_->lane) return;
  impl_->lane->finish();
  impl_->addLane(impl_->base);
  impl_->lane.reset();
  impl_->spool->wakeAgent();
} catch (const std::exception&) {
  // Nothing is lost by not sealing.
}

void SpoolWriter::beforeFork() noexcept { impl_->lock.lock(); }
void SpoolWriter::afterForkInParent() noexcept { impl_->lock.unlock(); }
void SpoolWriter::afterForkInChild() noexcept { impl_->childReset(); }

}  // namespace godwit::metrics::spool
