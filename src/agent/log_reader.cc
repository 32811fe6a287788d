#include "agent/log_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace godwit::agent {
namespace {

using spool::ReadStatus;

constexpr std::size_t kTurn = 256;  // frames of one lane before the next one's turn

// Samples of the lane in front of a segment; 0 when the header is damaged.
std::uint64_t baseSamples(const std::string& dir, std::uint64_t segment) {
  UniqueFd fd(::open((dir + "/" + spool::segmentName(segment)).c_str(), O_RDONLY | O_CLOEXEC));
  char raw[spool::kSegmentHeaderSize];
  if (!fd || ::pread(fd.get(), raw, sizeof raw, 0) != static_cast<ssize_t>(sizeof raw)) return 0;
  const auto* h = reinterpret_cast<const spool::SegmentHeader*>(raw);
  bool sound =
      h->crc == spool::segmentHeaderCrc(*h) && h->base_samples_crc == spool::baseSamplesCrc(*h);
  return sound && h->seg_no == segment ? h->base_samples : 0;
}

// In front of the first segment that still exists.
std::uint64_t samplesBefore(const std::string& dir) {
  auto segments = spool::listSegments(dir);
  return segments.empty() ? 0 : baseSamples(dir, segments.front());
}

}  // namespace

LogReader::LogReader(Log& log, LaneRole role, Places places, bool fresh, Order order)
    : log_(log), role_(role), order_(order), fresh_(fresh), places_(std::move(places)) {}

void LogReader::refresh() {
  std::uint64_t version = log_.version();
  if (version == version_ && !unsettled_) return;
  version_ = version;
  unsettled_ = !log_.complete();
  if (fresh_) {
    auto gone = log_.retired();
    skipped_ += role_ == LaneRole::kPoints ? gone.points_samples : gone.statsd_samples;
  }
  std::vector<Open> next;
  for (const LanePtr& lane : log_.lanes()) {
    LaneRole role = lane->role.load();
    unsettled_ = unsettled_ || role == LaneRole::kUnknown;
    if (role != role_) continue;
    auto old =
        std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.lane == lane; });
    if (old != open_.end()) {
      next.push_back(std::move(*old));
      continue;
    }
    Open o;
    o.lane = lane;
    auto place = places_.find(lane->id);
    if (place == places_.end()) {
      LanePlace start;
      if (fresh_) {
        start = {spool::LaneReader::oldest(lane->dir), samplesBefore(lane->dir)};
        skipped_ += start.samples;
      }
      place = places_.emplace(lane->id, start).first;
    }
    auto reader = spool::LaneReader::open(lane->dir, place->second.position);
    if (!reader) {  // just removed, or no descriptor left: then it is tried again
      unsettled_ = unsettled_ || !lane->gone.load();
      continue;
    }
    o.reader = std::make_unique<spool::LaneReader>(std::move(reader).value());
    next.push_back(std::move(o));
  }
  for (const Open& o : open_) {  // moved-from ones are the lanes that stay
    if (!o.lane || !o.lane->gone.load() || o.finished) continue;
    std::uint64_t done = places_[o.lane->id].samples;
    std::uint64_t all = o.lane->samples.load();
    missed_ += all > done ? all - done : 0;
  }
  open_ = std::move(next);
  fresh_ = false;
  // Places of lanes that are gone would pile up.
  for (auto it = places_.begin(); it != places_.end();) {
    bool known = std::any_of(open_.begin(), open_.end(),
                             [&](const Open& o) { return o.lane->id == it->first; });
    it = known || unsettled_ ? std::next(it) : places_.erase(it);
  }
}

void LogReader::reconcile(LanePlace& place, std::uint64_t expected, const LaneId& id) {
  if (place.samples >= expected) return;
  reconciled_ += expected - place.samples;
  place.samples = expected;
  touched_[id] = place;
}

ReadStatus LogReader::next(LogFrame& frame, LogGap& gap) {
  refresh();
  for (std::size_t tried = 0; tried < open_.size();) {
    if (turn_ >= open_.size()) turn_ = 0;
    if (order_ == Order::kByAge) {
      turn_ = 0;
      while (turn_ + 1 < open_.size() && open_[turn_].finished) ++turn_;
      tried = open_.size() - 1;
    }
    Open& o = open_[turn_];
    bool dead = o.lane->dead.load();
    std::uint64_t frames = o.lane->frames.load(std::memory_order_relaxed);
    ReadStatus status = ReadStatus::kEnd;
    bool skip = o.finished || (frames == o.frames_seen && !dead);
    if (!skip) {
      // Asked before reading: "dead, then at the end" proves that the lane is finished.
      bool was_dead = dead && o.reader->dead();
      status = o.reader->next(frame.frame, gap.gap);
      if (status == ReadStatus::kEnd) {
        o.frames_seen = frames;
        o.finished = was_dead;
        if (o.finished) {
          reconcile(places_[o.lane->id], o.reader->account().samples, o.lane->id);
        }
        if (o.finished && order_ == Order::kByAge && turn_ + 1 < open_.size()) continue;
      }
    }
    if (status == ReadStatus::kEnd) {
      ++turn_;
      in_turn_ = 0;
      ++tried;
      continue;
    }
    LanePlace& place = places_[o.lane->id];
    if (status == ReadStatus::kFrame) {
      if (frame.frame.after.seg != o.segment && place.position.seq != 0) {
        reconcile(place, baseSamples(o.lane->dir, frame.frame.after.seg), o.lane->id);
      }
      o.segment = frame.frame.after.seg;
      frame.lane = o.lane->id;
      frame.slot = o.reader->slot();
      place.position = frame.frame.after;
      place.samples += frame.frame.n_samples;
    } else {
      gap.lane = o.lane->id;
      gap.lane_dir = o.lane->dir;
      place.position = gap.gap.after;
      place.samples += gap.gap.samples;
    }
    touched_[o.lane->id] = place;
    if (++in_turn_ >= kTurn) {
      ++turn_;
      in_turn_ = 0;
    }
    return status;
  }
  return ReadStatus::kEnd;
}

LogReader::Behind LogReader::behind(const Log& log, LaneRole role, const Places& places) {
  Behind b;
  for (const LanePtr& lane : log.lanes()) {
    if (lane->role.load() != role || lane->gone.load()) continue;
    auto it = places.find(lane->id);
    std::uint64_t frames = lane->frames.load();
    std::uint64_t samples = lane->samples.load();
    std::uint64_t seq = it == places.end() ? 0 : it->second.position.seq;
    std::uint64_t done = it == places.end() ? 0 : it->second.samples;
    b.frames += frames > seq ? frames - seq : 0;
    b.samples += samples > done ? samples - done : 0;
  }
  return b;
}

bool hasReached(const Places& places, const Log& log, const Log::Mark& mark) {
  auto lanes = log.lanes();
  for (const auto& [id, frames] : mark) {
    auto it = places.find(id);
    if (frames == 0 || (it != places.end() && it->second.position.seq >= frames)) continue;
    bool exists =
        std::any_of(lanes.begin(), lanes.end(), [&](const LanePtr& l) { return l->id == id; });
    if (exists) return false;
  }
  return true;
}

}  // namespace godwit::agent
