#include "agent/delivery.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr int kBreakerAfter = 5;  // failures in a row
constexpr std::size_t kProbeUnits = 100;
constexpr int kMaxSplits = 512;  // requests spent on finding the bad units of a batch
constexpr auto kStoreEvery = 100ms;
constexpr std::chrono::nanoseconds kUnreachableMax = 2s;

}  // namespace

Result<std::unique_ptr<Publisher>> Delivery::open(Log& log, DeliveryOptions options,
                                                  std::unique_ptr<Target> target) {
  auto ledger = Ledger::open(options.cursor_path);
  if (!ledger) return std::move(ledger).error();
  auto dead = DeadLetters::open(options.dead_dir, options.dead_max_bytes);
  if (!dead) return std::move(dead).error();
  if (ledger->damaged()) {
    log::warn("publisher.cursor_damaged",
              {{"publisher", options.name}, {"effect", "the log is read again"}});
  }
  log.addConsumer(options.name, LaneRole::kPoints, options.required);
  return std::unique_ptr<Publisher>(new Delivery(log, std::move(options), std::move(target),
                                                 std::move(ledger).value(),
                                                 std::move(dead).value()));
}

Delivery::Delivery(Log& log, DeliveryOptions options, std::unique_ptr<Target> target, Ledger ledger,
                   DeadLetters dead)
    : log_(log),
      options_(std::move(options)),
      target_(std::move(target)),
      dead_(std::move(dead)),
      ledger_(std::move(ledger)) {
  stats_.name = options_.name;
  stats_.required = options_.required;
  stats_.dead_letters = dead_.letters();
  stats_.dead_bytes = dead_.bytes();
  std::map<LaneId, spool::Position> positions;
  for (const auto& [id, place] : ledger_.places()) positions[id] = place.position;
  log_.passed(options_.name, positions);
}

Delivery::~Delivery() { stop(); }

void Delivery::start() {
  reader_ = std::thread([this] { readerMain(); });
  sender_ = std::thread([this] { senderMain(); });
}

void Delivery::flush() {
  flushes_.fetch_add(1);
  log_.wakeReaders();
  std::lock_guard lock(mu_);
  changed_.notify_all();
}

void Delivery::stop() {
  if (!stopping_.exchange(true)) {
    target_->abort();
    log_.wakeReaders();
    std::lock_guard lock(mu_);
    changed_.notify_all();
  }
  if (reader_.joinable()) reader_.join();
  if (sender_.joinable()) sender_.join();
}

bool Delivery::reached(const Log::Mark& mark) const {
  std::lock_guard lock(mu_);
  return hasReached(ledger_.places(), log_, mark);
}

PublisherStats Delivery::stats() const {
  std::lock_guard lock(mu_);
  PublisherStats s = stats_;
  s.counts = ledger_.counts();
  auto behind = LogReader::behind(log_, LaneRole::kPoints, ledger_.places());
  s.spooled_frames = behind.frames;
  s.spooled_samples = behind.samples;
  return s;
}

std::unique_ptr<Batch> Delivery::pop() {
  std::unique_lock lock(mu_);
  busy_ = false;
  auto ready = [&] { return !queue_.empty() || stopping_.load(); };
  while (!ready()) {
    if (dirty_) {
      if (changed_.wait_until(lock, last_store_ + kStoreEvery, ready)) break;
      lock.unlock();
      storeCursor();
      lock.lock();
    } else {
      changed_.wait_for(lock, 1s, ready);
    }
  }
  if (stopping_.load()) return nullptr;
  auto batch = std::move(queue_.front());
  queue_.pop_front();
  busy_ = true;
  changed_.notify_all();
  return batch;
}

void Delivery::senderMain() {
  while (auto batch = pop()) {
    if (!target_->repeatable()) {
      // The cursor goes first: what a crash interrupts is not sent again.
      batch->provisional = batch->counts;
      auto& unsure = batch->provisional.dropped[static_cast<std::size_t>(Drop::kAtMostOnce)];
      for (const Unit& u : batch->units) unsure += u.samples;
      {
        std::lock_guard lock(mu_);
        ledger_.add(batch->places, batch->provisional);
      }
      dirty_ = true;
      bool stored = storeCursor();
      while (!stored && !stopping_.load()) {
        std::unique_lock lock(mu_);
        changed_.wait_for(lock, 1s);
        lock.unlock();
        stored = storeCursor();
      }
      if (!stored) break;
    }
    if (!deliver(*batch)) break;
    if (!acknowledge(*batch)) break;
  }
  if (dirty_) storeCursor();
}

bool Delivery::deliver(Batch& batch) {
  int splits = 0;
  std::size_t first = 0;
  while (first < batch.units.size()) {
    std::size_t last =
        std::min(batch.units.size(),
                 limit_ > batch.units.size() - first ? batch.units.size() : first + limit_);
    if (size_limit_ != SIZE_MAX) {
      std::size_t bytes = 0;
      std::size_t end = first;
      while (end < last && (end == first || bytes + batch.units[end].size <= size_limit_)) {
        bytes += batch.units[end++].size;
      }
      last = end;
    }
    if (!deliverRange(batch, first, last, splits)) return false;
    first = last;
  }
  return true;
}

// True when every unit of the range is decided.
bool Delivery::deliverRange(Batch& batch, std::size_t first, std::size_t last, int& splits) {
  while (!stopping_.load()) {
    if (limit_ < last - first) {  // the breaker is not closed: probe with less
      std::size_t end = first + limit_;
      return deliverRange(batch, first, end, splits) && deliverRange(batch, end, last, splits);
    }
    Outcome o = sendOnce(batch, first, last);
    switch (o.kind) {
      case Outcome::Kind::kOk: {
        std::uint64_t samples = 0;
        for (std::size_t i = first; i < last; ++i) samples += batch.units[i].samples;
        batch.counts.published += samples;
        return true;
      }
      case Outcome::Kind::kAborted:
        return false;
      case Outcome::Kind::kTooLarge:
        if (last - first == 1) {
          quarantine(batch, first, last, "too large: " + o.message);
          return true;
        }
        size_limit_ =
            std::max<std::size_t>(1, (batch.units[last - 1].offset + batch.units[last - 1].size -
                                      batch.units[first].offset) /
                                         2);
        [[fallthrough]];
      case Outcome::Kind::kRejected: {
        if (last - first == 1 || !target_->divisible() || ++splits > kMaxSplits) {
          quarantine(batch, first, last, o.message);
          return true;
        }
        {
          std::lock_guard lock(mu_);
          ++stats_.split;
        }
        std::size_t middle = first + (last - first) / 2;
        return deliverRange(batch, first, middle, splits) &&
               deliverRange(batch, middle, last, splits);
      }
      case Outcome::Kind::kRetry:
      case Outcome::Kind::kForbidden: {
        if (!waitBeforeRetry(o)) return false;
        break;
      }
    }
  }
  return false;
}

Outcome Delivery::sendOnce(const Batch& batch, std::size_t first, std::size_t last) {
  auto begin = SteadyClock::now();
  Outcome o = target_->send(batch, first, last);
  double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  bool answered = o.kind != Outcome::Kind::kRetry && o.kind != Outcome::Kind::kAborted;
  if (answered) {
    failures_ = 0;
    attempt_ = o.kind == Outcome::Kind::kForbidden ? attempt_ : 0;
    if (limit_ != SIZE_MAX && o.kind == Outcome::Kind::kOk) {
      limit_ = limit_ >= options_.batch_units ? SIZE_MAX : limit_ * 4;
    }
  } else if (o.kind == Outcome::Kind::kRetry && ++failures_ >= kBreakerAfter) {
    limit_ = kProbeUnits;
  }
  std::lock_guard lock(mu_);
  ++stats_.requests[o.code];
  ++stats_.publish_seconds_count;
  stats_.publish_seconds_sum += seconds;
  stats_.publish_seconds_max = std::max(stats_.publish_seconds_max, seconds);
  bool was_up = stats_.up;
  stats_.up = o.kind != Outcome::Kind::kRetry && o.kind != Outcome::Kind::kForbidden &&
              o.kind != Outcome::Kind::kAborted;
  stats_.breaker = failures_ >= kBreakerAfter ? "open"
                   : limit_ != SIZE_MAX       ? "half_open"
                                              : "closed";
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

// Full jitter. False when the publisher is being stopped.
bool Delivery::waitBeforeRetry(const Outcome& o) {
  std::chrono::nanoseconds wait{0};
  if (o.kind == Outcome::Kind::kForbidden) {
    wait = std::min<std::chrono::nanoseconds>(30s, options_.retry_max);
  } else if (o.retry_after_s >= 0) {
    wait = std::chrono::nanoseconds(
        static_cast<std::int64_t>(std::min(o.retry_after_s, 3600.0) * 1e9));
  } else {
    std::chrono::nanoseconds most = 250ms * (1LL << std::min(attempt_, 12));
    most = std::min(most, options_.retry_max);
    if (o.unreachable) most = std::min(most, kUnreachableMax);
    ++attempt_;
    wait = std::chrono::nanoseconds(
        static_cast<std::int64_t>(randomBelow(static_cast<std::uint64_t>(most.count()) + 1)));
  }
  std::unique_lock lock(mu_);
  ++stats_.retried;
  std::uint64_t flushes = flushes_.load();
  changed_.wait_for(lock, wait, [&] { return stopping_.load() || flushes_.load() != flushes; });
  return !stopping_.load();
}

void Delivery::quarantine(Batch& batch, std::size_t first, std::size_t last,
                          const std::string& reason) {
  for (std::size_t i = first; i < last; ++i) {
    const Unit& u = batch.units[i];
    batch.rejects.push_back({u.lane, u.seq, u.index, u.samples, target_->deadType(), reason,
                             batch.body.substr(u.offset, u.size)});
  }
}

// Dead letters first, then the cursor: a crash in between writes no letter twice, because letters
// have keys. False: stopped before it could be made durable; the batch will come again.
bool Delivery::acknowledge(Batch& batch) {
  std::map<std::string, std::uint64_t> reasons;
  std::int64_t now = Clock::system().nowNs();
  for (Reject& r : batch.rejects) {
    batch.counts.dead += r.samples;
    ++reasons[r.reason.substr(0, 60)];
    dead_.add({now, r.lane, r.seq, r.index, r.samples, r.type, r.reason, std::move(r.payload)});
  }
  for (auto r = dead_.flush(); !r; r = dead_.flush()) {
    log::error(
        "publisher.dead_letters",
        {{"publisher", options_.name}, {"error", r.error().message}, {"detail", r.error().detail}});
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, 1s, [&] { return stopping_.load(); });
    if (stopping_.load()) return false;
  }
  {
    std::lock_guard lock(mu_);
    batch.counts -= batch.provisional;
    ledger_.add(batch.places, batch.counts);
    ++stats_.batches;
    stats_.dead_letters = dead_.letters();
    stats_.dead_bytes = dead_.bytes();
    stats_.dead_expired += dead_.takeExpired();
    for (const auto& [reason, n] : reasons) {
      if (stats_.quarantined.size() < 100 || stats_.quarantined.contains(reason)) {
        stats_.quarantined[reason] += n;
      }
      log::warn("publisher.quarantined",
                {{"publisher", options_.name}, {"count", n}, {"why", reason}});
    }
  }
  dirty_ = true;
  if (SteadyClock::now() - last_store_ >= kStoreEvery) storeCursor();
  return true;
}

bool Delivery::storeCursor() {
  std::map<LaneId, spool::Position> positions;
  Result<> stored;
  {
    std::lock_guard lock(mu_);
    if (log_.complete()) ledger_.forget(log_.lanes());
    stored = ledger_.store();
    for (const auto& [id, place] : ledger_.places()) positions[id] = place.position;
  }
  last_store_ = SteadyClock::now();
  if (!stored) {
    log::error("publisher.cursor", {{"publisher", options_.name},
                                    {"error", stored.error().message},
                                    {"detail", stored.error().detail}});
    return false;
  }
  dirty_ = false;
  log_.passed(options_.name, positions);
  return true;
}

}  // namespace godwit::agent
