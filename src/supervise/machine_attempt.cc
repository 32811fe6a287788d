// Attempts: one for each reload asked for and each restart, from the wish to the result; crashes
// and what follows from them.
#include <algorithm>

#include "supervise/exit_code.h"
#include "supervise/machine.h"

namespace godwit::supervise {
namespace {
constexpr std::size_t kMaxCrashes = 64;
constexpr std::size_t kCrashesForRollback = 3;

void note(std::deque<TimeNs>& times, TimeNs now, TimeNs window) {
  times.push_back(now);
  while (times.size() > kMaxCrashes || (window != kNever && times.front() < now - window)) {
    times.pop_front();
  }
}
}  // namespace

int Machine::startNext(TimeNs now, Release release, TimeNs delay) {
  int id = ++last_attempt_;
  current_ = Attempt{.id = id, .release = release, .not_before = timeAfter(now, delay)};
  advance(now);
  return id;
}

TimeNs Machine::intervalDelay(TimeNs now) const {
  if (policy_.min_interval == 0 || last_start_ == 0) return 0;
  return std::max<TimeNs>(0, timeAfter(last_start_, policy_.min_interval) - now);
}

int Machine::freeSlot() const {
  auto taken = [&](int slot) {
    return std::any_of(gens_.begin(), gens_.end(),
                       [&](const GenRecord& g) { return g.slot == slot; });
  };
  // Clients queue where the lost active generation was; only its slot can serve them.
  if (!active()) return taken(pinned_slot_) ? -1 : pinned_slot_;
  for (int i = 1; i <= policy_.slots; ++i) {
    int slot = (last_slot_ + i) % policy_.slots;
    if (!taken(slot)) return slot;
  }
  return -1;
}

// Brings the current attempt one step further, if it can be: time, check, room, slot, spawn.
void Machine::advance(TimeNs now) {
  advanced_at_ = now;
  if (!current_ || current_->gen != 0) return;
  if (state_ == ServiceState::kStopping || state_ == ServiceState::kStopped) return;
  if (now < current_->not_before || candidate()) return;
  if (current_->check == Attempt::Check::kNotYet) {
    bool running = current_->release == Release::kCurrent && world_.startCheck(current_->id);
    current_->check = running ? Attempt::Check::kRunning : Attempt::Check::kPassed;
  }
  if (current_->check == Attempt::Check::kRunning || !makeRoom(now)) return;
  int slot = freeSlot();
  if (slot >= 0) beginGeneration(slot, now);
}

void Machine::beginGeneration(int slot, TimeNs now) {
  GenRecord g;
  g.id = ++last_gen_;
  g.slot = slot;
  g.attempt = current_->id;
  g.release = current_->release;
  g.started = now;
  g.deadline = timeAfter(now, policy_.ready_timeout);
  last_start_ = now;
  last_slot_ = slot;
  if (auto why = world_.spawn(g.id, slot, g.release)) {
    world_.onFailed(g.id, *why);
    attemptFailed(now, *why);
    return;
  }
  current_->gen = g.id;
  gens_.push_back(g);
  reroute();
  world_.onState(g.id);
}

// True when one more generation may start. Otherwise sees to it that one ends soon.
bool Machine::makeRoom(TimeNs now) {
  if (static_cast<int>(gens_.size()) < policy_.max_generations) return true;
  if (current_->limit_acted) return false;
  current_->limit_acted = true;
  if (policy_.on_limit == OnLimit::kRefuse && active()) {
    Reason why{"limit", std::to_string(gens_.size()) + " generations are still running"};
    world_.onAttempt({current_->id, Outcome::kRefused, 0, 0, why});
    current_.reset();
    state_ = ServiceState::kRunning;
    startPending(now);
    return false;
  }
  if (policy_.on_limit != OnLimit::kKillOldest) return false;
  for (GenRecord& g : gens_) {
    if (g.state == GenState::kQuiescing && g.settled) {
      apply(g, GenEvent::kDrained, now);  // the end of --keep-old
    }
    if (g.state == GenState::kDraining) {
      // What it is answering gets as long as a failed generation would.
      g.stage = stagesOf(g).size() - 2;
      g.deadline =
          std::min(g.deadline, std::max(now, timeAfter(g.stopping_at, policy_.kill_after_failed)));
      return false;
    }
  }
  current_->limit_acted = false;  // all are quiescing: one will drain, then this is tried again
  return false;
}

void Machine::supersede(TimeNs now) {
  retries_left_ = policy_.retry_failed;
  backoff_ = 0;
  int id = ++last_attempt_;
  asked_ = id;
  std::optional<Attempt> old =
      std::exchange(current_, Attempt{.id = id, .release = asked_release_});
  std::optional<Attempt> waiting = std::exchange(pending_, std::nullopt);
  current_->not_before = now;
  Reason why{"aborted", "superseded by a newer reload"};
  if (old && old->check == Attempt::Check::kRunning) world_.cancelCheck();
  if (waiting) world_.onAttempt({waiting->id, Outcome::kSuperseded, 0, id, why});
  if (old) {
    world_.onAttempt({old->id, Outcome::kSuperseded, old->gen, id, why});
    if (GenRecord* g = findMutable(old->gen)) apply(*g, GenEvent::kAbort, now, why);
  }
  advance(now);
}

void Machine::startHasFailed(const GenRecord& g, TimeNs now, const Reason& why) {
  world_.onFailed(g.id, why);
  if (!current_ || current_->gen != g.id) return;  // it was given up before
  canary_ = 0;
  attemptFailed(now, why);
}

void Machine::attemptFailed(TimeNs now, const Reason& why) {
  Attempt failed = *std::exchange(current_, std::nullopt);
  if (have_good_ && state_ == ServiceState::kDegraded && policy_.rollback) {
    use_last_good_ = failed.release == Release::kCurrent;
    if (use_last_good_) rolled_back_from_ = failed.gen;
  }
  reroute();
  world_.onAttempt({failed.id, Outcome::kFailed, failed.gen, 0, why});
  applyService(ServiceEvent::kFailed, now, why);
}

void Machine::finish(TimeNs now) {
  if (current_) {
    // An older generation was reinstated while a newer one is on its way: still reloading.
    state_ = ServiceState::kReloading;
    return;
  }
  startPending(now);
}

void Machine::startPending(TimeNs now) {
  if (!pending_) return;
  current_ = std::exchange(pending_, std::nullopt);
  current_->not_before = timeAfter(now, intervalDelay(now));
  retries_left_ = policy_.retry_failed;
  state_ = ServiceState::kReloading;
  advance(now);
}

// Every attempt whose older generations have given up their queues is done.
void Machine::settle() {
  auto unsettled = [&](const Settling& s) {
    return std::any_of(gens_.begin(), gens_.end(), [&](const GenRecord& g) {
      return g.id < s.gen && g.state == GenState::kQuiescing && !g.settled;
    });
  };
  std::vector<Settling> done;
  for (const Settling& s : settling_) {
    if (!unsettled(s)) done.push_back(s);
  }
  std::erase_if(settling_, [&](const Settling& s) { return !unsettled(s); });
  for (const Settling& s : done) world_.onAttempt({s.attempt, Outcome::kActive, s.gen, 0, {}});
}

void Machine::settleFor(int gen, Outcome outcome, const Reason& why) {
  std::vector<Settling> mine;
  for (const Settling& s : settling_) {
    if (s.gen == gen) mine.push_back(s);
  }
  std::erase_if(settling_, [&](const Settling& s) { return s.gen == gen; });
  for (const Settling& s : mine) world_.onAttempt({s.attempt, outcome, gen, 0, why});
}

void Machine::cancelAttempts(const Reason& why) {
  std::optional<Attempt> a = std::exchange(current_, std::nullopt);
  std::optional<Attempt> b = std::exchange(pending_, std::nullopt);
  if (a && a->check == Attempt::Check::kRunning) world_.cancelCheck();
  if (a) world_.onAttempt({a->id, Outcome::kRefused, a->gen, 0, why});
  if (b) world_.onAttempt({b->id, Outcome::kRefused, 0, 0, why});
  std::vector<Settling> rest = std::exchange(settling_, {});
  for (const Settling& s : rest) world_.onAttempt({s.attempt, Outcome::kActive, s.gen, 0, {}});
}

TimeNs Machine::nextBackoff() {
  TimeNs base = 100 * kMs << std::min(backoff_, 9);
  ++backoff_;
  auto delay =
      static_cast<TimeNs>(static_cast<double>(std::min(base, kMaxBackoff)) * world_.jitter());
  return std::min(delay, kMaxBackoff);
}

void Machine::crashed(GenRecord& g, const ExitStatus& status, TimeNs now) {
  world_.onCrashed(g.id, status);
  Reason why{status.signaled ? "signal" : "exit", "it died after it had become active"};
  if (now - g.active_at >= policy_.stable) backoff_ = 0;
  note(crashes_, now, policy_.rollback_window);
  bool suspicious = policy_.rollback && (now - g.active_at < policy_.rollback_window ||
                                         crashes_.size() >= kCrashesForRollback);
  if (takeOver(g, now)) return;
  settleFor(g.id, Outcome::kFailed, why);
  if (current_) {
    // The newer generation on its way is the restart already; nothing is gained by waiting.
    if (current_->gen == 0) current_->not_before = now;
    applyService(ServiceEvent::kActiveLost, now, why);
    reroute();
    advance(now);
    return;
  }
  bool restart = policy_.restart == Restart::kAlways ||
                 (policy_.restart == Restart::kOnFailure && !status.ok());
  if (!restart) {
    giveUp(status.asExitCode(), now);
    return;
  }
  use_last_good_ = suspicious && have_good_;
  if (use_last_good_) rolled_back_from_ = g.id;
  reroute();
  applyService(ServiceEvent::kActiveLost, now, why);
}

// A generation that can serve at once, instead of the one just lost.
bool Machine::takeOver(const GenRecord& lost, TimeNs now) {
  int lost_id = lost.id;
  Reason why{"crash", "generation " + std::to_string(lost_id) + " died"};
  const GenRecord* c = candidate();
  if (c && c->state == GenState::kSoaking && world_.soakVerdict(c->id) != Verdict::kBad) {
    settleFor(lost_id, Outcome::kFailed, why);
    apply(*findMutable(c->id), GenEvent::kReinstate, now, why);
    return true;
  }
  for (auto g = gens_.rbegin(); g != gens_.rend(); ++g) {
    if (g->state != GenState::kQuiescing || g->leader_gone || g->unhealthy) continue;
    rolled_back_from_ = lost_id;
    settleFor(lost_id, Outcome::kRolledBack, why);
    apply(*g, GenEvent::kReinstate, now, why);
    return true;
  }
  return false;
}

void Machine::scheduleRestart(TimeNs now, bool boot, const Reason& why) {
  if (boot && why.kind == "exec") {
    giveUp(exit_code_ != 0 ? exit_code_ : kExitNotExecutable, now);
    return;
  }
  if (boot && policy_.restart == Restart::kNo) {
    giveUp(kExitGaveUp, now);
    return;
  }
  exit_code_ = 0;
  note(restarts_, now, policy_.max_restarts_window);
  if (policy_.max_restarts > 0 &&
      restarts_.size() > static_cast<std::size_t>(policy_.max_restarts)) {
    giveUp(kExitGaveUp, now);
    return;
  }
  ++restarts_total_;
  TimeNs delay = nextBackoff();
  world_.onRestartDelay(delay);
  startNext(now, use_last_good_ && have_good_ ? Release::kLastGood : Release::kCurrent, delay);
}

void Machine::giveUp(int exit_code, TimeNs now) {
  exit_code_ = exit_code;
  applyService(ServiceEvent::kStop, now);
}

void Machine::reportEnd() {
  int code = exit_code_;
  if (code == 0 && policy_.strict_stop && had_to_kill_) code = kExitHadToKill;
  world_.onEnded(code);
}

}  // namespace godwit::supervise
