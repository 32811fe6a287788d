#include "supervise/machine.h"

#include <algorithm>

namespace godwit::supervise {

Machine::Machine(World& world, Policy policy) : world_(world), policy_(std::move(policy)) {
  // References to records live across calls that start a generation: the vector must not move.
  gens_.reserve(kMaxGenerations + 1);
}

const GenRecord* Machine::find(int gen) const {
  for (const GenRecord& g : gens_) {
    if (g.id == gen) return &g;
  }
  return nullptr;
}
GenRecord* Machine::findMutable(int gen) {
  for (GenRecord& g : gens_) {
    if (g.id == gen) return &g;
  }
  return nullptr;
}
const GenRecord* Machine::active() const {
  for (const GenRecord& g : gens_) {
    if (g.state == GenState::kActive) return &g;
  }
  return nullptr;
}
const GenRecord* Machine::candidate() const {
  for (const GenRecord& g : gens_) {
    if (g.state == GenState::kStarting || g.state == GenState::kSoaking) return &g;
  }
  return nullptr;
}
bool Machine::idle() const {
  return state_ == ServiceState::kRunning && gens_.size() == 1 && !current_ && !pending_;
}

void Machine::begin(TimeNs now) {
  if (state_ == ServiceState::kWaiting) applyService(ServiceEvent::kBegin, now);
}

int Machine::reload(TimeNs now, bool at_once, Release release) {
  asked_ = 0;
  asked_release_ = release;
  applyService(at_once ? ServiceEvent::kReloadNow : ServiceEvent::kReload, now);
  asked_release_ = Release::kCurrent;
  return asked_;
}

int Machine::rollback(TimeNs now) {
  if (state_ == ServiceState::kStopping || state_ == ServiceState::kStopped) return 0;
  const GenRecord* now_active = active();
  for (auto g = gens_.rbegin(); g != gens_.rend(); ++g) {
    if (g->state != GenState::kQuiescing || g->leader_gone) continue;
    if (now_active && g->id > now_active->id) continue;
    if (const GenRecord* c = candidate()) {
      apply(*findMutable(c->id), GenEvent::kAbort, now, {"aborted", "rolled back"});
    }
    apply(*g, GenEvent::kReinstate, now, {"rollback", "rolled back on request"});
    return -1;
  }
  if (!have_good_) return 0;
  if (now_active) rolled_back_from_ = now_active->id;
  return reload(now, true, Release::kLastGood);
}

bool Machine::promoteNow(TimeNs now) {
  const GenRecord* c = candidate();
  if (!c || c->state != GenState::kSoaking) return false;
  apply(*findMutable(c->id), GenEvent::kSoakOver, now);
  return true;
}

bool Machine::setCanary(int percent) {
  const GenRecord* c = candidate();
  if (!c || c->state != GenState::kSoaking) return false;
  canary_ = percent;
  reroute();
  return true;
}

void Machine::stop(TimeNs now, int signal) {
  if (state_ != ServiceState::kStopping) stop_signal_ = signal;
  applyService(ServiceEvent::kStop, now);
}

void Machine::killAll(TimeNs now) {
  stop(now, SIGKILL);
  for (GenRecord& g : gens_) apply(g, GenEvent::kKill, now);
}

void Machine::ready(int gen, TimeNs now) {
  if (GenRecord* g = findMutable(gen)) apply(*g, GenEvent::kReady, now);
}

void Machine::unhealthy(int gen, const Reason& why, TimeNs now) {
  if (GenRecord* g = findMutable(gen)) apply(*g, GenEvent::kUnhealthy, now, why);
}

void Machine::saidStopping(int gen, TimeNs now) {
  if (GenRecord* g = findMutable(gen)) {
    apply(*g, GenEvent::kSaidStopping, now, {"stopping", "it announced its end"});
  }
}

void Machine::extendTimeout(int gen, TimeNs until) {
  GenRecord* g = findMutable(gen);
  if (!g || g->deadline == kNever) return;
  bool waits = g->state == GenState::kStarting || g->state == GenState::kDraining ||
               g->state == GenState::kFailing;
  // An hour from the start of the phase is the most a child can ask for.
  TimeNs from = g->state == GenState::kStarting ? g->started : g->stopping_at;
  if (waits) g->deadline = std::max(g->deadline, std::min(until, from + 3600 * kSecond));
}

void Machine::leaderExited(int gen, const ExitStatus& status, TimeNs now) {
  GenRecord* g = findMutable(gen);
  if (!g || g->leader_gone) return;
  g->leader_gone = true;
  g->exit = status;
  Reason why;
  TimeNs lived = now - g->started;
  if (status.signaled) {
    why = {"signal", "killed by SIG" + signalName(status.code)};
  } else {
    why = {"exit", "exit " + std::to_string(status.code)};
  }
  why.text += " after " + formatSeconds(lived) + " s";
  if (g->state == GenState::kStarting && status.ok()) {
    why.text += "; does the command daemonize? It must stay in the foreground";
  }
  // Asked to end, the serving generation may still say that something went wrong.
  if (state_ == ServiceState::kStopping && exit_code_ == 0 && g->active_at != 0 &&
      g->retired_at == 0 && !status.signaled && g->stopping_at != 0 && status.code < 128) {
    exit_code_ = status.code;
  }
  apply(*g, GenEvent::kExit, now, why);
}

void Machine::allGone(int gen, TimeNs now) {
  std::erase_if(gens_, [&](const GenRecord& g) { return g.id == gen; });
  if (gens_.empty() && state_ == ServiceState::kStopping) {
    applyService(ServiceEvent::kAllGone, now);
  }
  advance(now);
}

void Machine::startFailed(int gen, const Reason& why, int exit_code, TimeNs now) {
  GenRecord* g = findMutable(gen);
  if (!g || g->leader_gone) return;
  g->leader_gone = true;
  g->exit = {false, exit_code};
  if (state_ == ServiceState::kBoot) exit_code_ = exit_code;
  apply(*g, GenEvent::kExit, now, why);
}

void Machine::checkDone(int attempt, bool good, const Reason& why, TimeNs now) {
  if (!current_ || current_->id != attempt || current_->gen != 0) return;
  if (good) {
    current_->check = Attempt::Check::kPassed;
    advance(now);
  } else {
    world_.onFailed(0, why);
    attemptFailed(now, why);
  }
}

void Machine::tick(TimeNs now) {
  for (std::size_t i = 0; i < gens_.size(); ++i) {
    GenRecord& g = gens_[i];
    if (g.deadline > now) continue;
    g.deadline = kNever;
    due(g, now);
  }
  advance(now);
}

void Machine::due(GenRecord& g, TimeNs now) {
  switch (g.state) {
    case GenState::kStarting:
      apply(g, GenEvent::kReadyTimeout, now,
            {"timeout", "not ready after " + formatDuration(now - g.started)});
      return;
    case GenState::kSoaking:
      switch (world_.soakVerdict(g.id)) {
        case Verdict::kGood:
          apply(g, GenEvent::kSoakOver, now);
          return;
        case Verdict::kUnknownYet:
          g.deadline = now + 20 * kMs;
          return;
        case Verdict::kBad:
          apply(g, GenEvent::kUnhealthy, now, {"probe", "a probe failed during the soak"});
          return;
      }
      return;
    case GenState::kActive:
      g.good = true;
      have_good_ = true;
      world_.onGood(g.id);
      return;
    case GenState::kQuiescing:
      checkQuiesce(g, now);
      return;
    case GenState::kDraining:
    case GenState::kFailing:
    case GenState::kKilling:
      apply(g, GenEvent::kStageOver, now);
      return;
    case GenState::kDead:
      return;
  }
}

TimeNs Machine::nextDeadline() const {
  TimeNs next = kNever;
  for (const GenRecord& g : gens_) next = std::min(next, g.deadline);
  // A start whose time has come already waits for an event (room, a slot, --check), not the clock.
  if (current_ && current_->gen == 0 && current_->not_before > advanced_at_) {
    next = std::min(next, current_->not_before);
  }
  return next;
}

void Machine::apply(GenRecord& g, GenEvent event, TimeNs now, const Reason& why) {
  const GenStep& step = stepOf(g.state, event);
  if (step.next != g.state) enter(g, step.next);
  act(g, step.action, now, why);
}

void Machine::enter(GenRecord& g, GenState state) {
  g.state = state;
  g.deadline = kNever;
  world_.onState(g.id);
}

void Machine::applyService(ServiceEvent event, TimeNs now, const Reason& why) {
  const ServiceStep& step = stepOf(state_, event);
  state_ = step.next;
  actService(step.action, now, why);
}

void Machine::actService(ServiceAction action, TimeNs now, const Reason& why) {
  switch (action) {
    case ServiceAction::kNothing:
    case ServiceAction::kRefuse:
      return;
    case ServiceAction::kStart:
      retries_left_ = policy_.retry_failed;
      asked_ = startNext(now, asked_release_, intervalDelay(now));
      return;
    case ServiceAction::kRemember:
      if (!pending_) pending_ = Attempt{.id = ++last_attempt_};
      pending_->release = asked_release_;
      asked_ = pending_->id;
      return;
    case ServiceAction::kSupersede:
      supersede(now);
      return;
    case ServiceAction::kSpawnNow:
      backoff_ = 0;
      use_last_good_ = false;
      if (current_ && current_->gen != 0) {
        actService(ServiceAction::kRemember, now, why);
        return;
      }
      if (!current_) {
        asked_ = startNext(now, asked_release_, 0);
        return;
      }
      current_->not_before = now;
      current_->release = asked_release_;
      asked_ = current_->id;
      advance(now);
      return;
    case ServiceAction::kFinish:
      finish(now);
      return;
    case ServiceAction::kKeepOld:
      if (retries_left_ > 0 && !pending_) {
        --retries_left_;
        state_ = ServiceState::kReloading;
        startNext(now, Release::kCurrent, nextBackoff());
      } else {
        finish(now);
      }
      return;
    case ServiceAction::kRetryBoot:
      scheduleRestart(now, true, why);
      return;
    case ServiceAction::kRestart:
      scheduleRestart(now, false, why);
      return;
    case ServiceAction::kEndAll:
      cancelAttempts({"stopping", "the service is stopping"});
      for (GenRecord& g : gens_) apply(g, GenEvent::kStop, now, {"stopping", "service stopping"});
      if (gens_.empty()) applyService(ServiceEvent::kAllGone, now);
      return;
    case ServiceAction::kEnd:
      reportEnd();
      return;
  }
}

}  // namespace godwit::supervise
