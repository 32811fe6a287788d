// The reader thread of a publisher: from the log's frames to encoded batches.
#include <filesystem>

#include "agent/delivery.h"
#include "base/log.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using spool::ReadStatus;

constexpr std::size_t kQueue = 2;  // encoded batches that wait for the sender

void copyForInspection(const std::string& lane_dir, std::uint64_t seg, const std::string& dead) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::create_directories(dead, ignored);
  std::uint64_t total = 0;
  for (const auto& e : fs::directory_iterator(dead, ignored)) total += e.file_size(ignored);
  if (total > (64u << 20)) return;
  std::string lane = lane_dir.substr(lane_dir.rfind('/') + 1);
  fs::copy_file(lane_dir + "/" + spool::segmentName(seg),
                dead + "/" + lane + "-" + spool::segmentName(seg), fs::copy_options::skip_existing,
                ignored);
}

class Collector final : public FrameSink {
 public:
  Collector(Target& target, Batch& batch) : target_(target), batch_(batch) {}
  Target::FrameRef frame;
  void onMetrics(const metrics::Metrics& m, std::uint32_t index) override {
    target_.addMetrics(m, index, frame, batch_);
  }
  void onLine(std::string_view line, std::uint32_t index) override {
    target_.addLine(line, index, frame, batch_);
  }

 private:
  Target& target_;
  Batch& batch_;
};

}  // namespace

void Delivery::account(const LogGap& g, Batch& batch) {
  Drop why = Drop::kCorrupt;
  if (g.gap.cause == spool::Gap::Cause::kMissing) why = Drop::kSpoolFull;
  if (g.gap.cause == spool::Gap::Cause::kTail) why = Drop::kTail;
  batch.counts.dropped[static_cast<std::size_t>(why)] += g.gap.samples;
  log::warn("publisher.gap", {{"publisher", options_.name},
                              {"lane", g.lane_dir},
                              {"why", dropName(why)},
                              {"frames", g.gap.frames()},
                              {"samples", g.gap.samples},
                              {"bytes", g.gap.corrupt_bytes}});
  if (g.gap.damaged_seg != 0) {
    copyForInspection(g.lane_dir, g.gap.damaged_seg, log_.dir() + "/dead/corrupt");
  }
  std::lock_guard lock(mu_);
  stats_.corrupt_bytes += g.gap.corrupt_bytes;
}

void Delivery::fill(Batch& batch, LogReader& reader, FrameDecoder& decoder) {
  Collector sink(*target_, batch);
  LogFrame f;
  LogGap g;
  std::uint64_t flushes = flushes_.load();
  auto linger = target_->linger(options_.linger);
  std::optional<SteadyClock::time_point> give_at;
  while (!stopping_.load()) {
    std::uint64_t growth = log_.growth();
    auto status = reader.next(f, g);
    if (status == ReadStatus::kEnd) {
      auto& missed = batch.counts.dropped[static_cast<std::size_t>(Drop::kSpoolFull)];
      missed += reader.takeMissed();
      batch.counts.dropped[static_cast<std::size_t>(Drop::kCorrupt)] += reader.takeReconciled();
      if (!give_at && batch.counts.consumed() > 0) break;
      if (give_at && (SteadyClock::now() >= *give_at || flushes_.load() != flushes)) break;
      log_.waitGrowth(growth, give_at ? Deadline::at(*give_at) : Deadline::after(1s));
      flushes = give_at ? flushes : flushes_.load();
      continue;
    }
    if (!give_at) give_at = SteadyClock::now() + linger;
    if (status == ReadStatus::kGap) {
      account(g, batch);
      continue;
    }
    batch.counts.skipped += reader.takeSkipped();
    batch.counts.dropped[static_cast<std::size_t>(Drop::kCorrupt)] += reader.takeReconciled();
    const auto& frame = f.frame;
    if (batch.oldest_ns == 0) batch.oldest_ns = frame.ts_ns;
    sink.frame = {f.lane, frame.seq, frame.type, frame.payload};
    if (frame.type == kFrameRequeued) {
      Requeued r;
      if (decodeRequeued(frame.payload, r)) {
        sink.frame.type = r.inner;
        sink.frame.payload = r.payload;
      }
    }
    auto result = decoder.decode(frame, sink);
    std::uint32_t counted = frame.n_samples;
    switch (result.status) {
      case FrameDecoder::Status::kDone:
        if (counted > result.samples) {
          batch.counts.dropped[static_cast<std::size_t>(Drop::kMiscounted)] +=
              counted - result.samples;
        }
        break;
      case FrameDecoder::Status::kMalformed:
        batch.rejects.push_back({f.lane, frame.seq, 0, counted, result.type, decoder.why(),
                                 std::string(result.payload)});
        break;
      case FrameDecoder::Status::kUnknown:
        batch.counts.dropped[static_cast<std::size_t>(Drop::kUnknownFrame)] += counted;
        break;
      case FrameDecoder::Status::kNothing:
        // For another publisher: neither published nor lost here, but passed.
        batch.counts.dropped[static_cast<std::size_t>(Drop::kUnsupported)] += counted;
        break;
    }
    if (batch.units.size() >= options_.batch_units || batch.body.size() >= options_.batch_bytes ||
        batch.rejects.size() >= 1000) {
      break;
    }
    // A long run of frames without units still has to move the cursor.
    if (batch.units.empty() && SteadyClock::now() >= *give_at) break;
  }
  batch.places = reader.takeTouched();
}

void Delivery::readerMain() {
  Places places;
  bool fresh = false;
  {
    std::lock_guard lock(mu_);
    places = ledger_.places();
    fresh = ledger_.isNew();
  }
  LogReader reader(log_, LaneRole::kPoints, std::move(places), fresh);
  FrameDecoder decoder(options_.name);
  while (!stopping_.load()) {
    auto batch = std::make_unique<Batch>();
    fill(*batch, reader, decoder);
    if (batch->places.empty() && batch->counts.consumed() == 0) continue;
    if (!push(std::move(batch))) return;
  }
}

bool Delivery::push(std::unique_ptr<Batch> batch) {
  std::unique_lock lock(mu_);
  changed_.wait(lock, [&] { return queue_.size() < kQueue || stopping_.load(); });
  if (stopping_.load()) return false;  // unsent: the cursor has not passed it
  queue_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

}  // namespace godwit::agent
