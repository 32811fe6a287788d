#include "agent/aggregation.h"

#include <algorithm>
#include <cstring>

#include "agent/files.h"
#include "agent/raw_bytes.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "metrics/metrics_binary.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using spool::ReadStatus;

// Of the log, between two saves: bounds what a restart replays. The less there is to save, the
// sooner, because segments behind the saved place are used again while their pages are at hand.
constexpr std::uint64_t kSaveEveryLeast = 16u << 20;
constexpr std::uint64_t kSaveEveryMost = 64u << 20;
constexpr std::uint64_t kSaveEveryPerSeries = 1024;
constexpr std::size_t kChunkBytes = 256 * 1024;
constexpr std::uint32_t kChunkPoints = 10'000;
constexpr char kMagic[8] = {'G', 'W', 'C', 'K', 'P', 'T', '1', '\n'};

}  // namespace

Aggregation::Aggregation(Log& log, Inlet& inlet, AggregatorOptions options, bool flush_partial)
    : log_(log),
      inlet_(inlet),
      path_(log.dir() + "/agent/checkpoint"),
      flush_partial_(flush_partial),
      interval_(options.interval_ns),
      aggregator_(std::move(options)) {
  log_.addConsumer("(aggregation)", LaneRole::kStatsd, true);
  load();
  findGivenOut();
  publishStats();
}

Aggregation::~Aggregation() { stop(Deadline::after(0s)); }

// File: magic, u32 crc32c of what follows, then places, shifts, output lane, counters, aggregator.
void Aggregation::load() {
  auto text = readFile(path_);
  if (!text) return;
  std::string_view s = *text;
  std::uint32_t crc = 0;
  bool sound = s.size() > 12 && std::memcmp(s.data(), kMagic, 8) == 0;
  if (sound) {
    s.remove_prefix(8);
    take(s, crc);
    sound = crc32c(s.data(), s.size()) == crc;
  }
  std::uint32_t n = 0;
  sound = sound && take(s, n);
  for (std::uint32_t i = 0; sound && i < n; ++i) {
    LaneId id;
    LanePlace p;
    std::int64_t shift = 0;
    sound = take(s, id.lo) && take(s, id.hi) && take(s, p.position.seq) &&
            take(s, p.position.seg) && take(s, p.position.off) && take(s, p.samples) &&
            take(s, shift);
    done_[id] = p;
    if (shift != 0) shifts_[id] = shift;
  }
  std::uint32_t name = 0;
  sound = sound && take(s, name) && name <= s.size();
  if (sound) {
    out_lane_ = s.substr(0, name);
    s.remove_prefix(name);
    sound = take(s, out_position_.seq) && take(s, out_position_.seg) &&
            take(s, out_position_.off) && take(s, given_window_) && take(s, given_chunk_) &&
            take(s, lines_lost_);
  }
  if (!sound || !aggregator_.restore(s)) {
    done_.clear();
    shifts_.clear();
    out_lane_.clear();
    given_window_ = Aggregator::kNone;
    log::warn("aggregation.checkpoint_damaged",
              {{"file", path_}, {"effect", "windows are computed from what the log still has"}});
    return;
  }
  saved_ = done_;
  open_.store(!aggregator_.empty());
  std::map<LaneId, spool::Position> positions;
  for (const auto& [id, place] : done_) positions[id] = place.position;
  log_.passed("(aggregation)", positions);
}

void Aggregation::findGivenOut() {
  if (out_lane_.empty()) return;
  auto reader = spool::LaneReader::open(log_.dir() + "/lanes/" + out_lane_, out_position_);
  if (!reader) return;  // removed: a producer needed the room. Then points may come twice.
  spool::FrameView f;
  spool::Gap g;
  for (auto s = reader->next(f, g); s != ReadStatus::kEnd; s = reader->next(f, g)) {
    AggregateHeader h;
    if (s != ReadStatus::kFrame || f.type != FrameType::kAggregate) continue;
    if (!getAggregateHeader(f.payload, h) || h.count == 0) continue;
    given_window_ = h.window;
    given_chunk_ = h.chunk;
  }
}

void Aggregation::save() {
  std::string text(kMagic, sizeof kMagic);
  put(text, std::uint32_t{0});
  const std::size_t begin = text.size();
  put(text, static_cast<std::uint32_t>(done_.size()));
  for (const auto& [id, p] : done_) {
    put(text, id.lo);
    put(text, id.hi);
    put(text, p.position.seq);
    put(text, p.position.seg);
    put(text, p.position.off);
    put(text, p.samples);
    auto shift = shifts_.find(id);
    put(text, shift == shifts_.end() ? std::int64_t{0} : shift->second);
  }
  // The end of our output lane: what is behind it was given out after this checkpoint.
  std::string dir = inlet_.laneDir(Inlet::LaneName::kAggregates);
  std::string name = dir.substr(dir.rfind('/') + 1);
  spool::Position end = name == out_lane_ ? out_position_ : spool::Position{};
  if (!dir.empty()) {
    if (auto reader = spool::LaneReader::open(dir, end)) {
      spool::FrameView f;
      spool::Gap g;
      while (reader->next(f, g) != ReadStatus::kEnd) {
      }
      end = reader->position();
    }
    out_lane_ = name;
    out_position_ = end;
  }
  put(text, static_cast<std::uint32_t>(out_lane_.size()));
  text += out_lane_;
  put(text, out_position_.seq);
  put(text, out_position_.seg);
  put(text, out_position_.off);
  put(text, given_window_);
  put(text, given_chunk_);
  put(text, lines_lost_);
  aggregator_.save(text);
  putAt(text, sizeof kMagic, crc32c(text.data() + begin, text.size() - begin));
  if (auto r = writeFileDurably(path_, text); !r) {
    log::error("aggregation.checkpoint",
               {{"error", r.error().message}, {"detail", r.error().detail}});
    return;
  }
  bytes_since_save_ = 0;
  changed_ = false;
  saved_ = done_;
  std::map<LaneId, spool::Position> positions;
  for (const auto& [id, place] : done_) positions[id] = place.position;
  log_.passed("(aggregation)", positions);
  std::lock_guard lock(mu_);
  ++stats_.checkpoints;
  stats_.checkpoint_bytes = text.size();
}

// A restarted machine's clock may be behind the log. Windows never go back: the whole lane is moved
// forward by what is missing, so that its windows keep their length.
std::int64_t Aggregation::windowFor(const LaneId& lane, std::int64_t ts_ns) {
  auto it = shifts_.find(lane);
  std::int64_t shift = it == shifts_.end() ? 0 : it->second;
  std::int64_t w = aggregator_.windowOf(ts_ns + shift);
  std::int64_t open = aggregator_.open();
  if (open == Aggregator::kNone || w >= open) return w;
  if (open - w > 1) shifts_[lane] = open * interval_ - ts_ns;
  return open;
}

void Aggregation::giveOut(std::int64_t window, std::string& chunk, std::uint32_t count) {
  AggregateHeader h{window, chunk_++, count};
  std::string head;
  putAggregateHeader(head, h);
  std::memcpy(chunk.data(), head.data(), head.size());
  bool given = given_window_ != Aggregator::kNone &&
               (h.window < given_window_ || (h.window == given_window_ && h.chunk <= given_chunk_));
  if (given) {
    std::lock_guard lock(mu_);
    ++stats_.skipped_after_crash;
  } else {
    inlet_.append(Inlet::LaneName::kAggregates, FrameType::kAggregate,
                  static_cast<std::uint16_t>(count), chunk, Source::kAggregator);
  }
  chunk.assign(kAggregateHeaderSize, '\0');
}

void Aggregation::closeWindow(std::int64_t next) {
  // A lane of our own has to be known to the checkpoint before anything counts in it.
  std::string dir = inlet_.laneDir(Inlet::LaneName::kAggregates);
  if (!aggregator_.empty() && (dir.empty() || dir.substr(dir.rfind('/') + 1) != out_lane_)) {
    std::string nothing;
    putAggregateHeader(nothing, {});
    inlet_.append(Inlet::LaneName::kAggregates, FrameType::kAggregate, 0, nothing,
                  Source::kAggregator);
    save();
  }
  std::string chunk(kAggregateHeaderSize, '\0');
  std::uint32_t count = 0;
  std::int64_t window = aggregator_.open();
  chunk_ = 0;
  aggregator_.close(next, [&](const metrics::Metrics& m) {
    std::string one = metrics::encodeMetrics(m, 0);
    if (count > 0 && (chunk.size() + one.size() > kChunkBytes || count >= kChunkPoints)) {
      giveOut(window, chunk, count);
      count = 0;
    }
    put(chunk, static_cast<std::uint32_t>(one.size()));
    chunk += one;
    ++count;
  });
  if (count > 0) giveOut(window, chunk, count);
  std::lock_guard lock(mu_);
  ++stats_.windows;
}

void Aggregation::consume(const LogFrame& f, LogReader& reader) {
  std::int64_t w = windowFor(f.lane, f.frame.ts_ns);
  if (aggregator_.open() != Aggregator::kNone && w > aggregator_.open()) {
    bool had = !aggregator_.empty();
    closeWindow(w);
    if (had) save();  // before this frame: its place is not in done_ yet
  }
  if (f.frame.type == FrameType::kStatsd) {
    aggregator_.add(w, f.frame.payload);
    bytes_since_save_ += f.frame.payload.size() + spool::kFrameHeaderSize;
  }
  changed_ = true;
  done_[f.lane] = reader.places().at(f.lane);
}

std::uint64_t Aggregation::saveEvery() const {
  return std::clamp(aggregator_.cachedSeries() * kSaveEveryPerSeries, kSaveEveryLeast,
                    kSaveEveryMost);
}

void Aggregation::main() {
  LogReader reader(log_, LaneRole::kStatsd, done_, false, LogReader::Order::kByAge);
  LogFrame f;
  LogGap g;
  auto last_save = std::chrono::steady_clock::now();
  while (true) {
    std::uint64_t growth = log_.growth();
    auto status = reader.next(f, g);
    lines_lost_ += reader.takeReconciled();
    if (status == ReadStatus::kFrame) {
      consume(f, reader);
      if (bytes_since_save_ >= saveEvery()) save();
      if (!stopping_.load(std::memory_order_relaxed) || !stop_at_.expired()) continue;
      break;
    }
    if (status == ReadStatus::kGap) {
      lines_lost_ += g.gap.samples;
      done_[g.lane] = reader.places().at(g.lane);
      changed_ = true;
      log::warn("aggregation.gap",
                {{"lane", g.lane_dir}, {"frames", g.gap.frames()}, {"lines", g.gap.samples}});
      continue;
    }
    for (auto it = done_.begin(); it != done_.end();) {  // lanes that were removed
      bool gone = !reader.places().contains(it->first);
      if (gone) shifts_.erase(it->first);
      it = gone ? done_.erase(it) : std::next(it);
    }
    open_.store(!aggregator_.empty(), std::memory_order_relaxed);
    publishStats();
    if (stopping_.load()) break;
    // Ticks alone move the place too; save now and then, so that their segments can go.
    auto now = std::chrono::steady_clock::now();
    if (changed_ && aggregator_.empty() && now - last_save > 5s) {
      save();
      last_save = now;
    }
    log_.waitGrowth(growth, Deadline::after(1s));
  }
  if (flush_partial_ && !aggregator_.empty()) closeWindow(aggregator_.open() + 1);
  if (changed_) save();
  publishStats();
}

void Aggregation::publishStats() {
  std::lock_guard lock(mu_);
  stats_.counts = aggregator_.counts();
  stats_.lines_lost = lines_lost_;
  stats_.open_series = aggregator_.openSeries();
  stats_.cached_series = aggregator_.cachedSeries();
  stats_.offenders = aggregator_.offenders();
  stat_places_ = done_;
}

void Aggregation::start() {
  thread_ = std::thread([this] { main(); });
}

void Aggregation::stop(Deadline deadline) {
  if (!stopping_.load()) {
    stop_at_ = deadline;
    stopping_.store(true);
    log_.wakeReaders();
  }
  if (thread_.joinable()) thread_.join();
}

bool Aggregation::reached(const Log::Mark& mark) const {
  std::lock_guard lock(mu_);
  return hasReached(stat_places_, log_, mark);
}

AggregationStats Aggregation::stats() const {
  std::lock_guard lock(mu_);
  AggregationStats s = stats_;
  s.spooled_lines = LogReader::behind(log_, LaneRole::kStatsd, stat_places_).samples;
  return s;
}

}  // namespace godwit::agent
