#include "metrics/lane_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "metrics/segment_window.h"

namespace godwit::metrics::spool {
namespace {

// A copy can be taken while the producer writes. That many looks tell it from damage.
constexpr int kLooks = 3;

}  // namespace

struct LaneReader::Impl {
  std::string dir;
  UniqueFd dir_fd;
  UniqueFd lane_fd;
  LaneId id;
  std::uint32_t slot = 0;
  Position pos;
  bool is_dead = false;
  bool tail_reported = false;
  std::optional<LaneInfo> final_account;

  // The open segment.
  SegmentWindow window;
  bool sound = false;
  std::uint64_t hint_disproved = 0;  // commit_off that led nowhere

  // n_samples of all frames before pos, lost ones included as far as they are known.
  std::uint64_t samples = 0;
  bool samples_known = true;
  bool samples_owed = false;  // frames were lost whose samples are not yet accounted

  // Skipped, not yet reported.
  std::uint64_t skipped_bytes = 0;
  std::uint64_t skipped_samples = 0;
  std::uint64_t exact_until = 0;  // skipped_samples is all of what was lost before this frame
  std::uint64_t damaged_seg = 0;

  ReadStatus next(FrameView& frame, Gap& gap);
  enum class Look { kFrame, kEnd, kSealed, kBad };
  Look look(FrameHead& h);
  bool resync(std::uint64_t from, std::uint64_t to);
  bool openSegment(std::uint64_t seg_no);
  bool openSuccessor();
  std::uint64_t successor() const;
  void enter(const SegmentInfo& info);
  bool onEnd();
  bool onBad();
  void skipTo(std::uint64_t off);
  bool takeGap(Gap& gap, Gap::Cause cause, std::uint64_t until_seq);
  bool tailGap(Gap& gap);
  bool isDead();
  LaneInfo account();
  void countFrames(LaneInfo& info) const;
};

bool LaneReader::Impl::isDead() {
  if (!is_dead) is_dead = !lane_fd || !lockedByOther(lane_fd.get());
  return is_dead;
}

LaneReader::Impl::Look LaneReader::Impl::look(FrameHead& h) {
  const char* p = window.at(pos.off, sizeof h);
  if (!p) return Look::kEnd;
  std::memcpy(&h, p, sizeof h);
  if (h.len == kLenEnd) return Look::kEnd;
  if (h.len == kLenSealed) return Look::kSealed;
  return window.frameAt(pos.off, h) ? Look::kFrame : Look::kBad;
}

// Moves to the first sound frame in [from, to) that is newer than what was read.
bool LaneReader::Impl::resync(std::uint64_t from, std::uint64_t to) {
  FrameHead h;
  window.readAhead();
  for (std::uint64_t p = (from + 7) & ~std::uint64_t{7}; p + kFrameHeaderSize <= to; p += 8) {
    const char* bytes = window.at(p, sizeof h);
    if (!bytes) return false;
    std::uint32_t len = 0;
    std::memcpy(&len, bytes, sizeof len);
    if (len == 0 || len > kMaxPayload) continue;
    std::memcpy(&h, bytes, sizeof h);
    // Cheap before dear: no more frames fit between than the bytes of this lane could hold.
    if (h.seq <= pos.seq || h.seq - pos.seq > (std::uint64_t{1} << 40)) continue;
    if (!window.frameAt(p, h)) continue;
    skipTo(p);
    return true;
  }
  return false;
}

void LaneReader::Impl::skipTo(std::uint64_t off) {
  skipped_bytes += off - pos.off;
  damaged_seg = pos.seg;
  pos.off = off;
}

bool LaneReader::Impl::openSegment(std::uint64_t seg_no) {
  UniqueFd f(::openat(dir_fd.get(), segmentName(seg_no).c_str(),
                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!f || ::fstat(f.get(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  window.open(std::move(f), static_cast<std::uint64_t>(st.st_size), frameSeed(id, seg_no));
  hint_disproved = 0;
  const SegmentInfo info = readSegmentInfo(window.fd());
  sound = info.sound && info.seg_no == seg_no && info.lane_id == id;
  if (pos.seg != seg_no || pos.off <= kSegmentHeaderSize) {
    pos.seg = seg_no;
    pos.off = kSegmentHeaderSize;
    if (sound) enter(info);
  }
  return true;
}

// At the start of a segment its base_samples settles what the frames lost before it contained.
void LaneReader::Impl::enter(const SegmentInfo& info) {
  if (!info.base_samples) return;
  if (samples_known && *info.base_samples >= samples &&
      (samples_owed || info.base_seq != pos.seq + 1)) {
    skipped_samples += *info.base_samples - samples;
    exact_until = info.base_seq;
  }
  samples_owed = false;
  samples = *info.base_samples;
  samples_known = true;
}

std::uint64_t LaneReader::Impl::successor() const {
  if (pos.seg != 0 && ::faccessat(dir_fd.get(), segmentName(pos.seg + 1).c_str(), F_OK, 0) == 0) {
    return pos.seg + 1;
  }
  for (const std::uint64_t n : listSegments(dir_fd.get())) {
    if (n > pos.seg) return n;
  }
  return 0;
}

bool LaneReader::Impl::openSuccessor() {
  // Names can vanish between listing and opening; each failure moves on, so this ends.
  for (std::uint64_t n = successor(); n != 0; n = successor()) {
    if (openSegment(n)) return true;
    pos.seg = n;
    pos.off = kSegmentHeaderSize;
  }
  return false;
}

// At `len` 0. True: there may be more, look again.
bool LaneReader::Impl::onEnd() {
  const bool dead = isDead();
  const std::uint64_t more = successor();
  window.forget();  // whatever comes now must be read after the two questions above
  FrameHead h;
  if (look(h) != Look::kEnd) return true;
  const SegmentInfo info = readSegmentInfo(window.fd());
  const bool same = info.sound && info.seg_no == pos.seg && info.lane_id == id;
  if (!dead && more == 0) {
    if (!same || info.commit_off <= pos.off || info.commit_off == hint_disproved) return false;
    window.forget();
    if (look(h) != Look::kEnd) return true;
    hint_disproved = info.commit_off;
    return resync(pos.off + 8, std::min(window.size(), info.commit_off));
  }
  if (same || !sound) {
    if (resync(pos.off + 8, window.size())) return true;
    if (same && info.commit_off > pos.off) skipTo(std::min(window.size(), info.commit_off));
  }
  return more != 0 && openSuccessor();
}

// The bytes at pos are no frame. True: look again.
bool LaneReader::Impl::onBad() {
  FrameHead h;
  for (int i = 0; i < kLooks; ++i) {
    window.forget();
    if (look(h) != Look::kBad) return true;
  }
  const SegmentInfo info = readSegmentInfo(window.fd());
  if (sound && info.sound && (info.seg_no != pos.seg || !(info.lane_id == id))) {
    return openSuccessor();  // reused under us: the frames are missing, nothing is damaged
  }
  if (resync(pos.off + 8, window.size())) return true;
  const bool hint = info.sound && info.commit_off > pos.off && info.commit_off <= window.size();
  // Without a hint a living lane's end is not known; wait until it goes on or dies.
  if (!hint && !isDead() && successor() == 0) return false;
  skipTo(hint ? info.commit_off : window.size());
  return openSuccessor();
}

// Reports what was skipped, if anything was, up to the frame before `until_seq`.
bool LaneReader::Impl::takeGap(Gap& gap, Gap::Cause cause, std::uint64_t until_seq) {
  if (until_seq == pos.seq + 1 && skipped_bytes == 0 && skipped_samples == 0) return false;
  gap = {};
  gap.cause = skipped_bytes ? Gap::Cause::kCorrupt : cause;
  gap.first_seq = pos.seq + 1;
  gap.last_seq = until_seq - 1;
  gap.corrupt_bytes = skipped_bytes;
  gap.samples = skipped_samples;
  gap.samples_exact = exact_until == until_seq || gap.frames() == 0;
  gap.damaged_seg = damaged_seg;
  if (!gap.samples_exact) samples_owed = true;
  pos.seq = until_seq - 1;
  gap.after = pos;
  skipped_bytes = skipped_samples = damaged_seg = 0;
  exact_until = 0;
  return true;
}

// A dead lane has been read to its end: do its counters say that there was more?
bool LaneReader::Impl::tailGap(Gap& gap) {
  if (tail_reported) return false;
  tail_reported = true;
  const LaneInfo info = lane_fd ? readLaneInfo(lane_fd.get()) : LaneInfo{};
  std::uint64_t last = pos.seq;
  if (info.sound && info.lane_id == id) {
    last = std::max(last, info.frames);
    if (samples_known && info.samples > samples && (last > pos.seq || samples_owed)) {
      skipped_samples += info.samples - samples;
      exact_until = last + 1;
      samples = info.samples;
      samples_owed = false;
    }
  } else if (window) {
    const SegmentInfo seg = readSegmentInfo(window.fd());
    if (seg.sound && seg.seg_no == pos.seg && seg.lane_id == id) {
      last = std::max(last, seg.last_seq);
    }
  }
  return takeGap(gap, Gap::Cause::kTail, last + 1);
}

ReadStatus LaneReader::Impl::next(FrameView& frame, Gap& gap) {
  if (!window && !(pos.seg != 0 && openSegment(pos.seg)) && !openSuccessor()) {
    return isDead() && tailGap(gap) ? ReadStatus::kGap : ReadStatus::kEnd;
  }
  for (;;) {
    FrameHead h;
    switch (look(h)) {
      case Look::kFrame:
        break;
      case Look::kSealed:
        // The next segment has its name before this one is sealed; after a clean end there is none.
        if (openSuccessor()) continue;
        return isDead() && tailGap(gap) ? ReadStatus::kGap : ReadStatus::kEnd;
      case Look::kEnd:
        if (onEnd()) continue;
        window.rest();
        return is_dead && successor() == 0 && tailGap(gap) ? ReadStatus::kGap : ReadStatus::kEnd;
      case Look::kBad:
        if (onBad()) continue;
        return isDead() && tailGap(gap) ? ReadStatus::kGap : ReadStatus::kEnd;
    }
    if (h.seq <= pos.seq) {  // passed before; the cursor's offset was behind its seq
      pos.off += frameSize(h.len);
      continue;
    }
    if (takeGap(gap, Gap::Cause::kMissing, h.seq)) return ReadStatus::kGap;
    const char* p = window.at(pos.off, kFrameHeaderSize + h.len);
    frame.seq = h.seq;
    frame.ts_ns = h.ts_ns;
    frame.type = static_cast<FrameType>(h.type);
    frame.flags = h.flags;
    frame.n_samples = h.n_samples;
    frame.source = h.source;
    frame.payload = std::string_view(p + kFrameHeaderSize, h.len);
    samples += h.n_samples;
    pos.seq = h.seq;
    pos.off += frameSize(h.len);
    frame.after = pos;
    return ReadStatus::kFrame;
  }
}

LaneInfo LaneReader::Impl::account() {
  if (final_account) return *final_account;
  LaneInfo info = lane_fd ? readLaneInfo(lane_fd.get()) : LaneInfo{};
  if (is_dead) {
    if (info.sound) countFrames(info);
    final_account = info;
  }
  return info;
}

// The last segment says what was before it; its frames say the rest.
void LaneReader::Impl::countFrames(LaneInfo& info) const {
  const auto segments = listSegments(dir_fd.get());
  if (segments.empty()) return;
  const UniqueFd f(::openat(dir_fd.get(), segmentName(segments.back()).c_str(),
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  const SegmentInfo last = f ? readSegmentInfo(f.get()) : SegmentInfo{};
  if (!last.sound || last.seg_no != segments.back() || !(last.lane_id == id)) return;
  auto reader = open(dir, {last.base_seq - 1, last.seg_no, kSegmentHeaderSize});
  if (!reader.ok()) return;
  FrameView frame;
  Gap gap;
  while (reader->next(frame, gap) != ReadStatus::kEnd) {
  }
  const Impl& end = *reader->impl_;
  info.frames = std::max(info.frames, end.pos.seq);
  if (end.samples_known) info.samples = std::max(info.samples, end.samples);
}

LaneReader::LaneReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LaneReader::LaneReader(LaneReader&&) noexcept = default;
LaneReader& LaneReader::operator=(LaneReader&&) noexcept = default;
LaneReader::~LaneReader() = default;

Result<LaneReader> LaneReader::open(const std::string& lane_dir, Position start) {
  auto impl = std::make_unique<Impl>();
  impl->dir = lane_dir;
  impl->dir_fd = UniqueFd(::open(lane_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!impl->dir_fd) {
    if (errno == ENOENT) return Error(ErrorCode::kNotFound, "no such lane: " + lane_dir);
    return osError("open " + lane_dir);
  }
  impl->lane_fd = UniqueFd(
      ::openat(impl->dir_fd.get(), kLaneFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  const LaneInfo info = impl->lane_fd ? readLaneInfo(impl->lane_fd.get()) : LaneInfo{};
  if (info.other_version) {
    return Error(ErrorCode::kUnsupported, "lane of another version: " + lane_dir);
  }
  bool known = info.sound;
  impl->id = info.lane_id;
  impl->slot = info.slot;
  const auto segments = listSegments(impl->dir_fd.get());
  for (std::size_t i = 0; i < segments.size() && !known; ++i) {
    const UniqueFd f(::openat(impl->dir_fd.get(), segmentName(segments[i]).c_str(),
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!f) continue;
    const SegmentInfo seg = readSegmentInfo(f.get());
    known = seg.sound;
    impl->id = seg.lane_id;
  }
  if (!known) return Error(ErrorCode::kInvalid, "lane without any sound header: " + lane_dir);

  impl->pos = start;
  if (start.seg != 0 && start.off > kSegmentHeaderSize && impl->openSegment(start.seg)) {
    // What the frames before the start contained, for exact accounts of later losses.
    const SegmentInfo seg = readSegmentInfo(impl->window.fd());
    impl->samples_known = impl->sound && seg.base_samples;
    impl->samples = seg.base_samples.value_or(0);
    for (std::uint64_t off = kSegmentHeaderSize; impl->samples_known && off < start.off;) {
      FrameHead h;
      impl->samples_known = impl->window.frameAt(off, h);
      impl->samples += h.n_samples;
      off += frameSize(h.len);
    }
    impl->window.rest();
  } else if (start.seq != 0) {
    impl->samples_known = false;
  }
  return LaneReader(std::move(impl));
}

Position LaneReader::oldest(const std::string& lane_dir) {
  for (const std::uint64_t n : listSegments(lane_dir)) {
    const UniqueFd f(::open((lane_dir + "/" + segmentName(n)).c_str(),
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!f) continue;
    const SegmentInfo info = readSegmentInfo(f.get());
    if (info.sound && info.seg_no == n && info.base_seq > 0) {
      return {info.base_seq - 1, n, kSegmentHeaderSize};
    }
  }
  return {};
}

ReadStatus LaneReader::next(FrameView& frame, Gap& gap) { return impl_->next(frame, gap); }
const Position& LaneReader::position() const { return impl_->pos; }
LaneId LaneReader::id() const { return impl_->id; }
std::uint32_t LaneReader::slot() const { return impl_->slot; }
const std::string& LaneReader::dir() const { return impl_->dir; }
bool LaneReader::dead() { return impl_->isDead(); }
LaneInfo LaneReader::account() const { return impl_->account(); }

}  // namespace godwit::metrics::spool
