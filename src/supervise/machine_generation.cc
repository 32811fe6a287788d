// What happens to one generation: soak, promotion, quiescing, the stop sequence.
#include <algorithm>

#include "supervise/machine.h"

namespace godwit::supervise {

void Machine::act(GenRecord& g, GenAction action, TimeNs now, const Reason& why) {
  switch (action) {
    case GenAction::kNothing:
      return;
    case GenAction::kSoak:
      soak(g, now);
      return;
    case GenAction::kPromote:
      promote(g, now);
      return;
    case GenAction::kFail:
      g.failure_stop = true;
      g.stopping_at = now;
      enterStage(g, 0, now);
      startHasFailed(g, now, why);
      return;
    case GenAction::kReplace: {
      g.unhealthy = why.kind != "stopping";
      if (current_ || pending_) return;
      bool fresh = policy_.rollback && have_good_ && g.release == Release::kCurrent &&
                   now - g.active_at < policy_.rollback_window && g.unhealthy;
      if (fresh) rolled_back_from_ = g.id;
      reload(now, false, fresh ? Release::kLastGood : Release::kCurrent);
      return;
    }
    case GenAction::kQuiesce:
      quiesce(g, now);
      return;
    case GenAction::kReinstate:
      reinstate(g, now);
      return;
    case GenAction::kTerminate:
      g.stopping_at = now;
      enterStage(g, 0, now);
      settle();
      return;
    case GenAction::kNextStage:
      enterStage(g, g.stage + 1, now);
      return;
    case GenAction::kKillNow:
      if (g.stopping_at == 0) g.stopping_at = now;
      had_to_kill_ = true;
      world_.signal(g.id, SIGKILL, true);
      g.deadline = now + 5 * kSecond;
      return;
    case GenAction::kStartFailed:
      startHasFailed(g, now, why);
      return;
    case GenAction::kCrashed:
      crashed(g, g.exit, now);
      return;
    case GenAction::kGone:
      settle();
      return;
  }
}

void Machine::soak(GenRecord& g, TimeNs now) {
  g.ready_at = now;
  // With nobody serving, holding a ready generation back protects nobody.
  TimeNs span = active() ? policy_.soak : 0;
  if (span == 0) {
    apply(g, GenEvent::kSoakOver, now);
    return;
  }
  g.deadline = timeAfter(now, span);
  canary_ = policy_.canary_percent;
  reroute();
}

void Machine::reroute() {
  const GenRecord* a = active();
  const GenRecord* c = candidate();
  // With nobody active, clients wait where the candidate will find them.
  if (!a && c) pinned_slot_ = c->slot;
  int percent = c && c->state == GenState::kSoaking ? canary_ : 0;
  world_.route({a ? a->id : 0, c ? c->id : 0, percent});
}

void Machine::promote(GenRecord& g, TimeNs now) {
  GenRecord* old = nullptr;
  for (GenRecord& o : gens_) {
    if (o.state == GenState::kActive && o.id != g.id) old = &o;
  }
  canary_ = 0;
  if (!world_.route({g.id, 0, 0})) {
    enter(g, GenState::kFailing);
    act(g, GenAction::kFail, now, {"os", "the kernel refused to move connections to it"});
    return;
  }
  pinned_slot_ = g.slot;
  g.active_at = now;
  if (policy_.rollback) g.deadline = timeAfter(now, policy_.rollback_window);
  if (g.release == Release::kCurrent) rolled_back_from_ = 0;
  int old_id = old ? old->id : 0;
  if (old && !old->good && !old->unhealthy) {
    old->good = true;
    have_good_ = true;
    world_.onGood(old_id);
  }
  if (current_ && current_->gen == g.id) {
    settling_.push_back({current_->id, g.id});
    current_.reset();
  }
  if (old) apply(*old, GenEvent::kRetire, now);
  world_.onPromoted(g.id, old_id);
  applyService(ServiceEvent::kPromoted, now);
  settle();
}

void Machine::reinstate(GenRecord& g, TimeNs now) {
  GenRecord* newer = nullptr;
  for (GenRecord& o : gens_) {
    if (o.state == GenState::kActive && o.id != g.id) newer = &o;
  }
  const GenRecord* c = candidate();
  world_.route({g.id, c ? c->id : 0, 0});
  pinned_slot_ = g.slot;
  g.retired_at = 0;
  g.settled = false;
  g.queue_was_empty = false;
  int newer_id = newer ? newer->id : 0;
  if (newer) {
    rolled_back_from_ = newer_id;
    settleFor(newer_id, Outcome::kRolledBack, {"rollback", "rolled back on request"});
    apply(*newer, GenEvent::kRetire, now);
  }
  world_.onPromoted(g.id, newer_id);
  applyService(ServiceEvent::kReinstated, now);
}

void Machine::quiesce(GenRecord& g, TimeNs now) {
  g.retired_at = now;
  if (policy_.has_queue) {
    // The first of the two looks comes just before the linger is over, the second ends it.
    g.deadline = timeAfter(now, std::max<TimeNs>(0, policy_.linger - kQueueRecheck));
    return;
  }
  g.settled = true;
  if (policy_.keep_old > 0) {
    g.deadline = timeAfter(now, policy_.keep_old);
  } else {
    apply(g, GenEvent::kDrained, now);
  }
}

void Machine::checkQuiesce(GenRecord& g, TimeNs now) {
  TimeNs lingered = timeAfter(g.retired_at, policy_.linger);
  TimeNs limit = timeAfter(lingered, kQuiesceSlack);
  TimeNs kept = timeAfter(g.retired_at, policy_.keep_old);
  if (!g.settled) {
    bool empty = world_.queueEmpty(g.id);
    if (now >= limit || (now >= lingered && empty && g.queue_was_empty)) {
      g.settled = true;
    } else {
      g.queue_was_empty = empty;
      g.deadline = std::max(lingered, now + kQueueRecheck);
      return;
    }
  }
  if (now < kept) {
    g.deadline = kept;
    settle();
  } else {
    apply(g, GenEvent::kDrained, now);
  }
}

std::vector<StopStage> Machine::stagesOf(const GenRecord& g) const {
  std::vector<StopStage> out = policy_.stop;
  if (g.failure_stop) {
    out = {{policy_.stop.front().signal, policy_.kill_after_failed}, {SIGKILL, kNever}};
  }
  if (stop_signal_ != 0 && state_ == ServiceState::kStopping) out.front().signal = stop_signal_;
  return out;
}

void Machine::enterStage(GenRecord& g, std::size_t stage, TimeNs now) {
  std::vector<StopStage> stages = stagesOf(g);
  g.stage = std::min(stage, stages.size() - 1);
  const StopStage& s = stages[g.stage];
  if (s.signal == SIGKILL) {
    apply(g, GenEvent::kKill, now);
    return;
  }
  world_.signal(g.id, s.signal, false);
  // A stopped process would not see it.
  if (g.stage == 0) world_.signal(g.id, SIGCONT, true);
  g.deadline = timeAfter(now, s.wait);
}

}  // namespace godwit::supervise
