// What the policy machine asks for and reports.
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "supervise/service.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kCheckLimit = 60 * kSecond;
constexpr std::size_t kFailures = 4;
}  // namespace

void Service::signal(int gen, int signal, bool group) {
  Running* r = find(gen);
  if (!r) return;
  if (signal == SIGKILL) {
    ++metrics_.kills;
    log::warn("killing generation", {{"service", name()}, {"gen", gen}, {"pid", r->pid}});
  } else if (signal != SIGCONT) {
    log::debug("signal", {{"service", name()}, {"gen", gen}, {"signal", signalName(signal)}});
  }
  if (r->leader_gone) {
    if (signal == SIGKILL) {
      r->kill_stragglers_at = 0;
      dirty_ = true;
    }
    return;
  }
  // The leader is unreaped, so the group is its own.
  if (group) ::kill(-r->pid, signal);
  signalProcess(r->pidfd.get(), r->pid, signal);
}

bool Service::route(const Routing& routing) {
  auto slotOf = [&](int gen) {
    const Running* r = find(gen);
    return r ? r->slot : -1;
  };
  SlotRouting s{slotOf(routing.active), slotOf(routing.candidate), routing.canary_percent};
  if (s.active < 0 && s.candidate < 0) return true;  // clients wait where the last one was
  for (auto& l : listeners_) {
    if (auto r = l->route(s); !r.ok()) {
      log::error(r.error().message, {{"service", name()}});
      SlotRouting before{slotOf(routing_.active), slotOf(routing_.candidate), 0};
      for (auto& undo : listeners_) {
        if (before.active >= 0 && !undo->route(before).ok()) break;
      }
      return false;
    }
  }
  routing_ = routing;
  return true;
}

bool Service::queueEmpty(int gen) {
  const Running* r = find(gen);
  if (!r) return true;
  for (auto& l : listeners_) {
    if (!l->queueEmpty(r->slot)) return false;
  }
  return true;
}

Verdict Service::soakVerdict(int gen) { return gen == soak_gen_ ? soak_verdict_ : Verdict::kGood; }

bool Service::startCheck(int attempt) {
  if (options_.check.empty()) return false;
  checking_ = attempt;
  check_ = std::make_unique<HelperProcess>(shared_.loop, shared_.children, shared_.own_err);
  std::string cwd = options_.cwd.empty() ? shared_.logical_cwd : options_.cwd;
  auto started = check_->start(
      options_.check, helperEnvironment(nullptr), cwd, kCheckLimit,
      [this, attempt](const ExitStatus& status, const std::string& output) {
        Reason why{"check", options_.check + ": exit " + std::to_string(status.asExitCode())};
        if (!status.ok() && !output.empty()) why.text += "\n" + output;
        machine_.checkDone(attempt, status.ok(), why, monotonicNow());
      });
  if (!started.ok()) {
    // Not from inside the machine: at the next turn.
    check_reason_ = {"check", started.error().message};
    check_failed_.armAt(monotonicNow());
  }
  return true;
}

void Service::cancelCheck() {
  check_failed_.disarm();
  check_.reset();
}

double Service::jitter() { return 0.8 + static_cast<double>(randomBelow(401)) / 1000; }

void Service::onState(int gen) {
  const GenRecord* g = machine_.find(gen);
  Running* r = find(gen);
  if (g && r && g->state != GenState::kStarting) r->readiness_over = true;
  // Not at the spawn: until probes are steered to it, the active generation would answer them.
  if (g && r && g->state == GenState::kStarting) r->readiness->start();
  if (g) {
    log::debug("state", {{"service", name()}, {"gen", gen}, {"state", supervise::name(g->state)}});
    emit("state", gen, std::string(supervise::name(g->state)));
  }
  healthFollows();
  listener_.onChange(*this);
}

void Service::onPromoted(int gen, int old_gen) {
  Running* r = find(gen);
  if (!r) return;
  was_ready_ = true;
  live_failures_ = 0;
  metrics_.restart_backoff = 0;
  if (old_gen > gen) ++metrics_.rollbacks;
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  active_since_ = wall.tv_sec;
  log::info(old_gen > gen ? "generation active again" : "generation active",
            {{"service", name()},
             {"gen", gen},
             {"pid", r->pid},
             {"after", formatSeconds(monotonicNow() - r->started)}});
  writePidfile(r->pid);
  emit("promoted", gen, "");
  runHooks("promote", gen, old_gen, "");
  armAge();
  healthFollows();
  listener_.onChange(*this);
}

void Service::onFailed(int gen, const Reason& reason) {
  Failure f;
  f.gen = gen;
  f.reason = reason;
  if (const Running* r = find(gen)) {
    f.after = monotonicNow() - r->started;
    if (r->err) {
      r->err->drain();
      f.stderr_tail = r->err->lastLines(20);
    }
    if (reason.kind == "timeout" && r->readiness && !r->readiness->obstacle().empty()) {
      f.reason.text += " (" + r->readiness->obstacle() + ")";
    }
  }
  if (const GenRecord* g = machine_.find(gen); g && g->leader_gone) f.code = g->exit.asExitCode();
  log::error("generation failed", {{"service", name()},
                                   {"gen", gen},
                                   {"reason", f.reason.kind},
                                   {"detail", f.reason.text},
                                   {"serving", routing_.active}});
  emit("failed", gen, f.reason.text);
  failures_.push_front(std::move(f));
  if (failures_.size() > kFailures) failures_.pop_back();
  runHooks("fail", gen, routing_.active, failures_.front().reason.text);
}

void Service::onCrashed(int gen, const ExitStatus& status) {
  Failure f;
  f.gen = gen;
  f.reason = {
      status.signaled ? "signal" : "exit",
      "died while it was active: " + (status.signaled ? "SIG" + signalName(status.code)
                                                      : "exit " + std::to_string(status.code))};
  f.code = status.asExitCode();
  if (const Running* r = find(gen)) {
    f.after = monotonicNow() - r->started;
    if (r->err) f.stderr_tail = r->err->lastLines(20);
  }
  log::error("active generation died",
             {{"service", name()}, {"gen", gen}, {"status", f.reason.text}});
  emit("crashed", gen, f.reason.text);
  failures_.push_front(std::move(f));
  if (failures_.size() > kFailures) failures_.pop_back();
}

void Service::onGood(int gen) {
  if (const Running* r = find(gen)) last_good_ = r->release;
}

void Service::onAttempt(const AttemptResult& result) {
  switch (result.outcome) {
    case Outcome::kActive:
      ++metrics_.reloads_ok;
      if (const Running* r = find(result.gen)) {
        metrics_.reload_seconds.add(monotonicNow() - r->started);
      }
      break;
    case Outcome::kRolledBack:
      ++metrics_.reloads_failed["rollback"];
      break;
    default:
      ++metrics_.reloads_failed[result.reason.kind];
      break;
  }
  AttemptResult told = result;
  // The report knows more: what the probe heard, what the condition waited for.
  for (const Failure& f : failures_) {
    if (f.gen == result.gen && f.reason.kind == result.reason.kind) told.reason = f.reason;
  }
  listener_.onAttempt(*this, told);
}

void Service::onRestartDelay(TimeNs delay) {
  metrics_.restart_backoff = delay;
  log::info("restart", {{"service", name()}, {"in", formatDuration(delay)}});
  emit("restart", 0, formatDuration(delay));
}

void Service::onEnded(int exit_code) {
  ended_ = true;
  live_timer_.disarm();
  watchdog_timer_.disarm();
  soak_timer_.disarm();
  rss_timer_.disarm();
  age_timer_.disarm();
  check_.reset();
  watch_.reset();
  closeSockets();
  listener_.onEnded(*this, exit_code);
}

}  // namespace godwit::supervise
