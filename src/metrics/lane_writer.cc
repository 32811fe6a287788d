#include "metrics/lane_writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"
#include "metrics/lane_files.h"
#include "metrics/metrics_binary.h"
#include "metrics/spool_room.h"

namespace godwit::metrics::spool {
namespace {

constexpr char kReuseName[] = "reuse.tmp";
// A full disk is asked again this often; in between an append fails without a system call.
constexpr std::int64_t kFullPauseNs = 50'000'000;
constexpr std::size_t kKeepMapped = kMaxFreeSegments;

constexpr std::int64_t kNoteEveryNs = 1'000'000'000;
// One note for each reason, and one for a removed segment.
constexpr std::size_t kNotesSize = frameSize(sizeof(DropNote)) * (kDropReasons + 1);

std::size_t leastSize(std::size_t payload) {
  return kSegmentHeaderSize + frameSize(payload) + kNotesSize + kFrameHeaderSize;
}

template <class T>
void bump(std::atomic<T>& counter, T by) {
  // One writer at a time: no read-modify-write needed.
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<LaneWriter>> LaneWriter::create(SpoolDir& spool,
                                                       const WriterOptions& options,
                                                       std::int64_t now_ns) {
  auto lane = spool.createLane(static_cast<std::uint32_t>(options.segment_size), now_ns);
  if (!lane.ok()) return std::move(lane).error();
  std::unique_ptr<LaneWriter> w(new LaneWriter(spool, options));
  w->dir_ = std::move(lane->dir);
  w->lock_ = std::move(lane->lock);
  w->header_ = lane->header;
  ::madvise(w->header_, kLaneFileSize, MADV_DONTFORK);
  w->id_ = w->header_->lane_id;
  w->slot_ = static_cast<std::uint16_t>(w->header_->slot);
  w->dir_fd_ = UniqueFd(::open(w->dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto giveUp = [&](Error e) {
    w->finish();
    return e;
  };
  if (!w->dir_fd_) return giveUp(osError("open " + w->dir_));
  auto first = w->make(std::min(options.first_segment_size, options.segment_size), true);
  if (!first.ok()) return giveUp(std::move(first).error());
  if (w->install(std::move(*first), kReuseName, now_ns) != Put::kDone) {
    return giveUp(Error(ErrorCode::kOs, w->error_));
  }
  return w;
}

LaneWriter::~LaneWriter() {
  preparer_.reset();
  if (header_) ::munmap(header_, kLaneFileSize);
}

void LaneWriter::abandon(std::unique_ptr<LaneWriter> lane) {
  // The maps are not in the child (MADV_DONTFORK), and the thread is not either: neither may be
  // touched again. Only the descriptors are ours; closing them lets the parent's lock be its own.
  lane->lock_.reset();
  lane->dir_fd_.reset();
  if (lane->preparer_) lane->preparer_->abandon();
  static_cast<void>(lane.release());
}

std::size_t LaneWriter::maxPayload() const {
  return std::min(kMaxPayload, options_.segment_size - leastSize(0));
}

std::uint64_t LaneWriter::bytesOnDisk() const {
  std::uint64_t sum = 0;
  for (const Segment& s : segments_) sum += s.size;
  return sum;
}

std::size_t LaneWriter::plannedSize(std::size_t payload) const {
  std::size_t size = cur_ ? cur_.size() * 2 : options_.first_segment_size;
  size = std::clamp(size, kMinSegmentSize, options_.segment_size);
  while (size < leastSize(payload) && size < options_.segment_size) size *= 2;
  return std::min(size, options_.segment_size);
}

void LaneWriter::writeFrame(const Frame& f, std::int64_t now_ns) {
  const auto len = static_cast<std::uint32_t>(f.payload.size());
  const std::size_t next = off_ + frameSize(len);
  // A reused segment has old bytes there: the end must be in place before the frame is.
  cur_.lenAt(next).store(kLenEnd, std::memory_order_relaxed);
  last_ns_ = std::max(last_ns_ + 1, now_ns);
  char* p = cur_.base() + off_;
  auto* h = reinterpret_cast<FrameHeader*>(p);
  h->seq = ++seq_;
  h->ts_ns = last_ns_;
  h->type = f.type;
  h->flags = options_.frame_flags;
  h->n_samples = f.n_samples;
  h->source = f.source;
  std::memcpy(p + kFrameHeaderSize, f.payload.data(), len);
  if (f.has_slot) std::memcpy(p + kFrameHeaderSize + kSlotOffset, &slot_, sizeof slot_);
  h->crc = frameCrc(p, len, seed_);
  h->len.store(len, std::memory_order_release);
  off_ = next;
  samples_ += f.n_samples;
  bytes_ += frameSize(len);
  SegmentHeader& seg = cur_.header();
  seg.commit_off.store(off_, std::memory_order_relaxed);
  seg.last_seq.store(seq_, std::memory_order_relaxed);
  header_->frames_total.store(seq_, std::memory_order_relaxed);
  header_->samples_total.store(samples_, std::memory_order_relaxed);
  header_->bytes_total.store(bytes_, std::memory_order_relaxed);
}

LaneWriter::Put LaneWriter::put(const Frame& frame, std::int64_t now_ns) {
  if (!frameFits(off_, frame.payload.size(), cur_.size())) {
    const Put rolled = roll(frame.payload.size(), now_ns);
    if (rolled != Put::kDone) return rolled;
  }
  if (has_pending_ && now_ns >= next_note_ns_ &&
      frameFits(off_, frame.payload.size() + kNotesSize, cur_.size())) {
    writeNotes(now_ns);
  }
  writeFrame(frame, now_ns);
  if (off_ >= prepare_at_) {
    prepare_at_ = ~std::size_t{0};
    if (!preparer_ && options_.helper_thread && !no_preparer_) {
      preparer_ = SegmentPreparer::start(spool_, options_.limits);
      no_preparer_ = !preparer_;
    }
    const std::size_t size = plannedSize(0);
    if (preparer_ && bytesOnDisk() + size <= options_.limits.max_lane_bytes) {
      preparer_->request(dir_fd_.get(), size);
    }
  }
  return Put::kDone;
}

LaneWriter::Put LaneWriter::roll(std::size_t payload, std::int64_t now_ns) {
  if (now_ns < full_until_ns_ && now_ns > full_until_ns_ - 2 * kFullPauseNs) return Put::kNoRoom;
  refresh();
  const std::size_t least = leastSize(payload);
  SegmentMap next;
  if (takeFree(least, next)) {
    ++recycled_;
    was_recycled_ = true;
    return install(std::move(next), kReuseName, now_ns);
  }
  if (preparer_) {
    if (auto ready = preparer_->take()) {
      if (ready->size() >= least) {
        ++fresh_;
        return install(std::move(*ready), SegmentPreparer::kName, now_ns);
      }
      ::unlinkat(dir_fd_.get(), SegmentPreparer::kName, 0);
      spool_.release(ready->size());
    }
  }
  const std::size_t size = plannedSize(payload);
  if (bytesOnDisk() + size > options_.limits.max_lane_bytes) return noRoom(payload, now_ns);
  auto made = make(size, false);
  if (made.ok()) {
    ++fresh_;
    return install(std::move(*made), kReuseName, now_ns);
  }
  error_ = made.error().message;
  return made.error().code == ErrorCode::kLimit ? noRoom(payload, now_ns) : Put::kBroken;
}

LaneWriter::Put LaneWriter::noRoom(std::size_t payload, std::int64_t now_ns) {
  SegmentMap next;
  DropNote note{};
  if (options_.policy == DropPolicy::kDropOldest && dropOldest(leastSize(payload), next, note)) {
    const Put put = install(std::move(next), kReuseName, now_ns);
    if (put == Put::kDone && note.frames > 0) writeNote(note, now_ns);
    return put;
  }
  full_until_ns_ = now_ns + kFullPauseNs;
  return Put::kNoRoom;
}

Result<SegmentMap> LaneWriter::make(std::size_t size, bool first) {
  GODWIT_TRY(spool_.reserve(size, options_.limits, first));
  auto made = SegmentMap::create(dir_fd_.get(), kReuseName, size);
  if (!made.ok()) spool_.release(size);
  return made;
}

// Forgets what the agent has removed or taken into free/.
void LaneWriter::refresh() {
  const auto there = listSegments(dir_fd_.get());
  std::erase_if(segments_, [&](const Segment& s) {
    return !std::binary_search(there.begin(), there.end(), s.no);
  });
}

// Moves one of our former segments to kReuseName and maps it, or finds it still mapped.
bool LaneWriter::reuse(std::uint64_t seg_no, int dir, const std::string& name, SegmentMap& out) {
  if (::renameat(dir, name.c_str(), dir_fd_.get(), kReuseName) != 0) return false;
  const auto kept = std::find_if(recent_.begin(), recent_.end(),
                                 [&](const auto& r) { return r.first == seg_no; });
  if (kept != recent_.end()) {
    SegmentMap map = std::move(kept->second);
    recent_.erase(kept);
    if (map.isFile(dir_fd_.get(), kReuseName)) {
      out = std::move(map);
      return true;
    }
  }
  auto opened = SegmentMap::open(dir_fd_.get(), kReuseName);
  if (!opened.ok()) {
    ::unlinkat(dir_fd_.get(), kReuseName, 0);
    return false;
  }
  out = std::move(*opened);
  return true;
}

bool LaneWriter::takeFree(std::size_t least, SegmentMap& out) {
  const UniqueFd dir(
      ::openat(dir_fd_.get(), kFreeDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return false;
  const auto numbers = listSegments(dir.get());
  for (std::size_t i = 0; i < numbers.size() && i < kMaxFreeSegments; ++i) {
    const std::string name = segmentName(numbers[i]);
    struct stat st {};
    if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (static_cast<std::size_t>(st.st_size) < least) continue;
    if (reuse(numbers[i], dir.get(), name, out)) return true;
  }
  return false;
}

// Takes the lane's oldest segment, the present one if there is no other, and says what was in it
// that nobody has acknowledged.
bool LaneWriter::dropOldest(std::size_t least, SegmentMap& out, DropNote& note) {
  refresh();
  while (!segments_.empty()) {
    const Segment s = segments_.front();
    const bool current = s.no == seg_no_;
    if (current && cur_.size() < least) return false;
    const std::uint64_t end_seq = segments_.size() > 1 ? segments_[1].base_seq : seq_ + 1;
    const std::uint64_t end_samples = segments_.size() > 1 ? segments_[1].base_samples : samples_;
    const std::uint64_t acked = ackedByAll(spool_.path(), id_);
    const std::string name = segmentName(s.no);
    note = {};
    note.version = 1;
    note.reason = DropReason::kSpoolFull;
    if (acked + 1 > s.base_seq && acked + 1 < end_seq) {
      const UniqueFd fd(::openat(dir_fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      if (fd) note.samples = countSegment(fd.get(), id_, s.no, acked).samples;
    } else {
      note.samples = end_samples - s.base_samples;
    }
    note.first_seq = std::max(s.base_seq, acked + 1);
    note.last_seq = end_seq - 1;
    note.frames = note.first_seq < end_seq ? end_seq - note.first_seq : 0;
    if (note.frames == 0) note.samples = 0;
    segments_.pop_front();
    // The present segment's map moves into the new role; nothing may be sealed in it afterwards.
    if (current) recent_.emplace_back(seg_no_, std::move(cur_));
    const bool taken = reuse(s.no, dir_fd_.get(), name, out);
    if (!taken && current) return false;
    if (!taken) continue;  // removed by the agent just now
    ++dropped_segments_;
    if (note.frames > 0) {
      const auto reason = static_cast<std::size_t>(DropReason::kSpoolFull);
      bump(header_->dropped_frames[reason], note.frames);
      bump(header_->dropped_samples[reason], note.samples);
      spool_.countDropped(DropReason::kSpoolFull, note.frames, note.samples);
    }
    if (out.size() >= least) return true;
    ::unlinkat(dir_fd_.get(), kReuseName, 0);
    spool_.release(out.size());
    out = {};
  }
  return false;
}

// Makes a mapped file the present segment: header, name, then the seal on the former one.
LaneWriter::Put LaneWriter::install(SegmentMap next, const std::string& from, std::int64_t now_ns) {
  const std::uint64_t no = seg_no_ + 1;
  next.lenAt(kSegmentHeaderSize).store(kLenEnd, std::memory_order_relaxed);
  SegmentHeader& h = next.header();
  std::memcpy(h.magic, kSegmentMagic, sizeof h.magic);
  h.version = kFormatVersion;
  h.flags = 0;
  h.lane_id = id_;
  h.seg_no = no;
  h.base_seq = seq_ + 1;
  h.created_ns = now_ns;
  h.size = static_cast<std::uint32_t>(next.size());
  h.crc = segmentHeaderCrc(h);
  h.commit_off.store(kSegmentHeaderSize, std::memory_order_relaxed);
  h.last_seq.store(seq_, std::memory_order_relaxed);
  h.sealed.store(0, std::memory_order_relaxed);
  h.reserved0 = h.reserved1 = 0;
  h.base_samples = samples_;
  h.base_samples_crc = baseSamplesCrc(h);
  std::fill(std::begin(h.reserved2), std::end(h.reserved2), 0);
  if (::renameat(dir_fd_.get(), from.c_str(), dir_fd_.get(), segmentName(no).c_str()) != 0) {
    error_ = osError("rename a segment in " + dir_).message;
    return Put::kBroken;
  }
  if (cur_) {
    cur_.header().sealed.store(1, std::memory_order_relaxed);
    cur_.lenAt(off_).store(kLenSealed, std::memory_order_release);
    recent_.emplace_back(seg_no_, std::move(cur_));
    if (recent_.size() > (was_recycled_ ? kKeepMapped : 0)) {
      if (preparer_) preparer_->discard(std::move(recent_.front().second));
      recent_.pop_front();
    }
  }
  segments_.push_back({no, seq_ + 1, samples_, next.size()});
  cur_ = std::move(next);
  seg_no_ = no;
  off_ = kSegmentHeaderSize;
  prepare_at_ = cur_.size() / 2;
  seed_ = frameSeed(id_, no);
  full_until_ns_ = 0;
  writeNotes(now_ns);
  return Put::kDone;
}

void LaneWriter::countDropped(DropReason reason, std::uint64_t frames, std::uint64_t samples,
                              std::int64_t now_ns) {
  const auto i = static_cast<std::size_t>(reason);
  bump(header_->dropped_frames[i], frames);
  bump(header_->dropped_samples[i], samples);
  spool_.countDropped(reason, frames, samples);
  Pending& p = pending_[i];
  if (p.from_ns == 0) p.from_ns = now_ns;
  p.to_ns = now_ns;
  p.frames += frames;
  p.samples += samples;
  has_pending_ = true;
}

void LaneWriter::writeNote(const DropNote& note, std::int64_t now_ns) {
  Frame f;
  f.type = FrameType::kDropNote;
  f.payload = std::string_view(reinterpret_cast<const char*>(&note), sizeof note);
  writeFrame(f, now_ns);
}

// Room for these is part of leastSize().
void LaneWriter::writeNotes(std::int64_t now_ns) {
  if (!has_pending_) return;
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    Pending& p = pending_[i];
    if (p.frames == 0 && p.samples == 0) continue;
    DropNote note{};
    note.version = 1;
    note.reason = static_cast<DropReason>(i);
    note.frames = p.frames;
    note.samples = p.samples;
    note.from_ns = p.from_ns;
    note.to_ns = p.to_ns;
    p = {};
    writeNote(note, now_ns);
  }
  has_pending_ = false;
  next_note_ns_ = now_ns + kNoteEveryNs;
}

void LaneWriter::finish() {
  preparer_.reset();
  recent_.clear();
  if (cur_ && has_pending_ && frameFits(off_, kNotesSize, cur_.size())) {
    writeNotes(last_ns_ + 1);
  }
  if (seq_ == 0) {
    if (cur_) {
      spool_.release(cur_.size());
      ::unlinkat(dir_fd_.get(), segmentName(seg_no_).c_str(), 0);
    }
    cur_ = {};
    if (dir_fd_) {
      ::unlinkat(dir_fd_.get(), kReuseName, 0);
      ::unlinkat(dir_fd_.get(), kLaneFile, 0);
    }
    ::rmdir(dir_.c_str());
    return;
  }
  if (!cur_) return;
  cur_.header().sealed.store(1, std::memory_order_relaxed);
  cur_.lenAt(off_).store(kLenSealed, std::memory_order_release);
  const std::size_t size = cur_.size();
  cur_ = {};
  // Nothing maps it any more, so the tail can go back to the disk.
  const UniqueFd fd(
      ::openat(dir_fd_.get(), segmentName(seg_no_).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  const std::size_t used = off_ + kFrameHeaderSize;
  if (fd && ::ftruncate(fd.get(), static_cast<off_t>(used)) == 0) spool_.release(size - used);
}

}  // namespace godwit::metrics::spool
