#include "agent/cumulative_publisher.h"

#include <algorithm>

#include "agent/cumulative_state.h"
#include "agent/files.h"
#include "agent/prometheus_text.h"
#include "agent/series_folder.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/random.h"
#include "metrics/metrics_binary.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using spool::ReadStatus;

constexpr auto kSaveEvery = 2s;
constexpr std::uint64_t kSaveEveryBytes = 64u << 20;
constexpr std::size_t kFoldFrames = 4096;  // in one go, before others may look

}  // namespace

Result<std::unique_ptr<Publisher>> CumulativePublisher::open(Log& log, CumulativeOptions options) {
  auto ledger = Ledger::open(options.cursor_path);
  if (!ledger) return std::move(ledger).error();
  auto dead = DeadLetters::open(options.dead_dir, options.dead_max_bytes);
  if (!dead) return std::move(dead).error();
  log.addConsumer(options.name, LaneRole::kPoints, options.required);
  std::unique_ptr<CumulativePublisher> p(new CumulativePublisher(
      log, std::move(options), std::move(ledger).value(), std::move(dead).value()));
  return std::unique_ptr<Publisher>(std::move(p));
}

CumulativePublisher::CumulativePublisher(Log& log, CumulativeOptions options, Ledger ledger,
                                         DeadLetters dead)
    : log_(log),
      options_(std::move(options)),
      dead_(std::move(dead)),
      store_(options_.limits),
      ledger_(std::move(ledger)) {
  stats_.name = options_.name;
  stats_.required = options_.required;
  stats_.dead_letters = dead_.letters();
  stats_.dead_bytes = dead_.bytes();
  if (!load()) {
    // Without totals the cursor alone is worth less, but going back would count everything twice.
    places_ = ledger_.places();
    counts_ = ledger_.counts();
    if (!ledger_.isNew()) {
      log::warn("publisher.state_damaged",
                {{"publisher", options_.name}, {"effect", "totals begin at zero"}});
    }
  }
  std::map<LaneId, spool::Position> positions;
  for (const auto& [id, place] : places_) positions[id] = place.position;
  log_.passed(options_.name, positions);
}

CumulativePublisher::~CumulativePublisher() { stop(); }

void CumulativePublisher::start() {
  thread_ = std::thread([this] { main(); });
}

void CumulativePublisher::flush() {
  flushes_.fetch_add(1);
  log_.wakeReaders();
}

void CumulativePublisher::stop() {
  if (!stopping_.exchange(true)) {
    client_.abort();
    log_.wakeReaders();
  }
  if (thread_.joinable()) thread_.join();
}

bool CumulativePublisher::reached(const Log::Mark& mark) const {
  std::lock_guard lock(mu_);
  return pending_ == 0 && hasReached(ledger_.places(), log_, mark);
}

PublisherStats CumulativePublisher::stats() const {
  std::lock_guard lock(mu_);
  PublisherStats s = stats_;
  s.counts = counts_;
  auto behind = LogReader::behind(log_, LaneRole::kPoints, places_);
  s.spooled_frames = behind.frames;
  s.spooled_samples = behind.samples + pending_;
  s.series = store_.size();
  s.series_overflow = store_.overflowed();
  return s;
}

void CumulativePublisher::expose(std::string& out, bool open_metrics, bool histograms) {
  std::lock_guard lock(mu_);
  appendPrometheus(out, store_.all(), {open_metrics, histograms});
}

bool CumulativePublisher::load() {
  CumulativeState state;
  auto text = readFile(options_.state_path);
  if (!text || !state.decode(*text, store_)) {
    store_ = SeriesStore(options_.limits);
    return false;
  }
  places_ = std::move(state.places);
  counts_ = state.counts;
  pending_ = state.pending;
  options_.otlp.delta_start_ns = state.delta_start_ns;
  dead_seq_ = state.dead_seq;
  return true;
}

bool CumulativePublisher::save() {
  // Letters first: a crash in between writes none twice, because letters have keys.
  if (auto r = dead_.flush(); !r) {
    log::error(
        "publisher.dead_letters",
        {{"publisher", options_.name}, {"error", r.error().message}, {"detail", r.error().detail}});
    last_save_ = SteadyClock::now();
    return false;
  }
  std::string text;
  CumulativeState state;
  {
    std::lock_guard lock(mu_);
    bool complete = log_.complete();
    auto lanes = log_.lanes();
    std::erase_if(places_, [&](const auto& p) {
      return complete && std::none_of(lanes.begin(), lanes.end(),
                                      [&](const LanePtr& l) { return l->id == p.first; });
    });
    state = {places_, counts_, pending_, options_.otlp.delta_start_ns, dead_seq_};
    text = state.encode(store_);
  }
  last_save_ = SteadyClock::now();
  Result<> r = writeFileDurably(options_.state_path, text);
  std::map<LaneId, spool::Position> positions;
  if (r) {
    std::lock_guard lock(mu_);
    for (const auto& [id, place] : state.places) positions[id] = place.position;
    ledger_.replace(std::move(state.places), state.counts);
    r = ledger_.store();
  }
  if (!r) {
    log::error(
        "publisher.state",
        {{"publisher", options_.name}, {"error", r.error().message}, {"detail", r.error().detail}});
    return false;
  }
  dirty_ = false;
  folded_bytes_ = 0;
  log_.passed(options_.name, positions);
  return true;
}

void CumulativePublisher::count(SeriesStore::Added added) {
  auto drop = [&](Drop why) { ++counts_.dropped[static_cast<std::size_t>(why)]; };
  switch (added) {
    case SeriesStore::Added::kYes:
      ++(sends() ? pending_ : counts_.published);
      break;
    case SeriesStore::Added::kUnsupported:
      drop(Drop::kUnsupported);
      break;
    case SeriesStore::Added::kNotFinite:
      drop(Drop::kNan);
      break;
    case SeriesStore::Added::kEmptyName:
      drop(Drop::kEmptyName);
      break;
  }
}

// False at the end of the log.
bool CumulativePublisher::fold(LogReader& reader, FrameDecoder& decoder) {
  std::lock_guard lock(mu_);
  SeriesFolder sink(store_, options_.host, [this](SeriesStore::Added added) { count(added); });
  LogFrame f;
  LogGap g;
  for (std::size_t i = 0; i < kFoldFrames; ++i) {
    auto status = reader.next(f, g);
    counts_.skipped += reader.takeSkipped();
    counts_.dropped[static_cast<std::size_t>(Drop::kSpoolFull)] += reader.takeMissed();
    if (std::uint64_t lost = reader.takeReconciled(); lost > 0) {
      counts_.dropped[static_cast<std::size_t>(Drop::kCorrupt)] += lost;
      for (const auto& [id, place] : reader.takeTouched()) places_[id] = place;
      dirty_ = true;
    }
    if (status == ReadStatus::kEnd) return false;
    dirty_ = true;
    if (status == ReadStatus::kGap) {
      Drop why = g.gap.cause == spool::Gap::Cause::kMissing ? Drop::kSpoolFull
                 : g.gap.cause == spool::Gap::Cause::kTail  ? Drop::kTail
                                                            : Drop::kCorrupt;
      counts_.dropped[static_cast<std::size_t>(why)] += g.gap.samples;
      stats_.corrupt_bytes += g.gap.corrupt_bytes;
      places_[g.lane] = reader.places().at(g.lane);
      continue;
    }
    sink.log_ns = f.frame.ts_ns;
    last_log_ns_ = std::max(last_log_ns_, f.frame.ts_ns);
    auto result = decoder.decode(f.frame, sink);
    std::uint32_t counted = f.frame.n_samples;
    auto drop = [&](Drop why, std::uint64_t n) {
      counts_.dropped[static_cast<std::size_t>(why)] += n;
    };
    switch (result.status) {
      case FrameDecoder::Status::kDone:
        if (counted > result.samples) drop(Drop::kMiscounted, counted - result.samples);
        break;
      case FrameDecoder::Status::kMalformed:
        counts_.dead += counted;
        dead_.add({Clock::system().nowNs(), f.lane, f.frame.seq, 0, counted, result.type,
                   decoder.why(), std::string(result.payload)});
        break;
      case FrameDecoder::Status::kUnknown:
        drop(Drop::kUnknownFrame, counted);
        break;
      case FrameDecoder::Status::kNothing:
        drop(Drop::kUnsupported, counted);
        break;
    }
    folded_bytes_ += f.frame.payload.size();
    places_[f.lane] = reader.places().at(f.lane);
  }
  return true;
}

void CumulativePublisher::main() {
  LogReader reader(log_, LaneRole::kPoints, places_, ledger_.isNew());
  FrameDecoder decoder(options_.name);
  last_save_ = SteadyClock::now();
  next_send_ = last_save_ + options_.interval;
  if (options_.otlp.delta_start_ns == 0) options_.otlp.delta_start_ns = Clock::system().nowNs();
  std::uint64_t flushes = flushes_.load();
  while (!stopping_.load()) {
    std::uint64_t growth = log_.growth();
    bool more = fold(reader, decoder);
    auto now = SteadyClock::now();
    bool flush = flushes_.load() != flushes && !more;
    if (flush) flushes = flushes_.load();
    if (sends() && (now >= next_send_ || flush)) sendChanged();
    if (dirty_ && (now - last_save_ >= kSaveEvery || folded_bytes_ >= kSaveEveryBytes || flush)) {
      save();
      std::lock_guard lock(mu_);
      store_.expire(last_log_ns_);
      stats_.dead_letters = dead_.letters();
      stats_.dead_bytes = dead_.bytes();
    }
    if (more || flushes_.load() != flushes) continue;
    auto until = dirty_ ? last_save_ + kSaveEvery : now + 1s;
    if (sends()) until = std::min(until, next_send_);
    log_.waitGrowth(growth, Deadline::at(std::max(until, now + 1ms)));
  }
  if (dirty_) save();
}

// ---- sending ----

void CumulativePublisher::sendChanged() {
  std::vector<CumulativeSeries*> series;
  {
    std::lock_guard lock(mu_);
    series = store_.changed();  // stable: only this thread inserts and removes
  }
  next_send_ = SteadyClock::now() + options_.interval;
  options_.otlp.now_ns = Clock::system().nowNs();
  bool all = true;
  for (std::size_t at = 0; at < series.size() && all;) {
    std::size_t end = std::min(series.size(), at + options_.batch);
    all = sendRange(series, at, end);
    at = end;
  }
  if (series.empty()) return;
  if (all) {
    options_.otlp.delta_start_ns = options_.otlp.now_ns;
    std::lock_guard lock(mu_);
    counts_.published += pending_;
    pending_ = 0;
  }
  dirty_ = true;
  save();
}

// False: try again later (next_send_ says when); what was sent is marked.
bool CumulativePublisher::sendRange(std::vector<CumulativeSeries*>& series, std::size_t first,
                                    std::size_t last) {
  if (stopping_.load()) return false;
  Outcome o = sendOnce(std::span<CumulativeSeries* const>(series).subspan(first, last - first));
  switch (o.kind) {
    case Outcome::Kind::kOk: {
      std::lock_guard lock(mu_);
      for (std::size_t i = first; i < last; ++i) {
        std::uint64_t n = std::min(series[i]->unsent, pending_);
        counts_.published += n;
        pending_ -= n;
        store_.markSent(*series[i]);
      }
      attempt_ = 0;
      return true;
    }
    case Outcome::Kind::kRejected:
    case Outcome::Kind::kTooLarge: {
      if (last - first == 1) {
        std::lock_guard lock(mu_);
        quarantine(*series[first], o.message);
        std::uint64_t n = std::min(series[first]->unsent, pending_);
        counts_.dead += n;
        pending_ -= n;
        store_.markSent(*series[first]);
        return true;
      }
      {
        std::lock_guard lock(mu_);
        ++stats_.split;
      }
      std::size_t middle = first + (last - first) / 2;
      return sendRange(series, first, middle) && sendRange(series, middle, last);
    }
    case Outcome::Kind::kAborted:
      return false;
    case Outcome::Kind::kForbidden:
    case Outcome::Kind::kRetry:
      break;
  }
  std::chrono::nanoseconds wait = std::min<std::chrono::nanoseconds>(30s, options_.retry_max);
  if (o.kind == Outcome::Kind::kRetry) {
    if (o.retry_after_s >= 0) {
      wait = std::chrono::nanoseconds(
          static_cast<std::int64_t>(std::min(o.retry_after_s, 3600.0) * 1e9));
    } else {
      std::chrono::nanoseconds most = 250ms * (1LL << std::min(attempt_++, 12));
      most = std::min(most, options_.retry_max);
      if (o.unreachable) most = std::min<std::chrono::nanoseconds>(most, 2s);
      wait = std::chrono::nanoseconds(
          static_cast<std::int64_t>(randomBelow(static_cast<std::uint64_t>(most.count()) + 1)));
    }
  }
  next_send_ = SteadyClock::now() + wait;
  std::lock_guard lock(mu_);
  ++stats_.retried;
  return false;
}

Outcome CumulativePublisher::sendOnce(std::span<CumulativeSeries* const> series) {
  std::string body;
  {
    std::lock_guard lock(mu_);
    body = options_.to.json ? encodeOtlpJson(series, options_.otlp)
                            : encodeOtlp(series, options_.otlp);
  }
  auto [o, seconds, rejected, message] = client_.post(options_.to, std::move(body));
  std::lock_guard lock(mu_);
  ++stats_.requests[o.code];
  ++stats_.publish_seconds_count;
  stats_.publish_seconds_sum += seconds;
  stats_.publish_seconds_max = std::max(stats_.publish_seconds_max, seconds);
  bool was_up = stats_.up;
  stats_.up = o.kind == Outcome::Kind::kOk || o.kind == Outcome::Kind::kRejected ||
              o.kind == Outcome::Kind::kTooLarge;
  if (rejected > 0) {
    // The target has decided and does not say about which: counted, and logged with its reason.
    stats_.quarantined["partial success: " + message.substr(0, 60)] +=
        static_cast<std::uint64_t>(rejected);
    log::warn("publisher.partial_success",
              {{"publisher", options_.name}, {"rejected", rejected}, {"why", message}});
  }
  if (!stats_.up && o.kind != Outcome::Kind::kAborted) {
    if (was_up || stats_.last_error != o.message) {
      log::warn("publisher.down", {{"publisher", options_.name},
                                   {"code", o.code},
                                   {"why", o.message},
                                   {"lost", "nothing; it will be sent again"}});
    }
    stats_.last_error = o.message;
  } else if (stats_.up && !was_up) {
    log::info("publisher.up", {{"publisher", options_.name}});
  }
  return o;
}

// Kept as a Metrics of what this series had gained since it was last sent.
void CumulativePublisher::quarantine(const CumulativeSeries& s, const std::string& why) {
  metrics::Metrics m;
  m.dims = s.labels;
  metrics::Sample sample;
  sample.name = s.name;
  sample.ts = s.last_ns;
  sample.explicit_ts = true;
  sample.value = s.kind == SeriesKind::kCounter ? s.value - s.sent_value : s.value;
  if (s.kind == SeriesKind::kCounter) {
    m.counters.push_back(std::move(sample));
  } else if (s.kind == SeriesKind::kGauge) {
    sample.kind = metrics::Kind::Gauge;
    m.extra.push_back(std::move(sample));
  } else {
    sample.kind = metrics::Kind::Sketch;
    const auto* k = s.unsent_sketch ? s.unsent_sketch.get() : s.sketch.get();
    if (k) {
      sample.value = k->sum();
      k->appendTo(sample.data);
    }
    if (s.per_second > 0) sample.unit = {"seconds", s.per_second, false};
    m.extra.push_back(std::move(sample));
  }
  auto samples = static_cast<std::uint32_t>(std::min<std::uint64_t>(s.unsent, UINT32_MAX));
  // The key is ours: there is no single frame this came from.
  dead_.add({Clock::system().nowNs(),
             {crc32c(s.name.data(), s.name.size()), 0},
             ++dead_seq_,
             0,
             samples,
             FrameType::kMetrics,
             why,
             metrics::encodeMetrics(m, 0)});
  ++stats_.quarantined[why.substr(0, 60)];
}

}  // namespace godwit::agent
