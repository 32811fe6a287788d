#include "supervise/state.h"

namespace godwit::supervise {
namespace {

using S = GenState;
using A = GenAction;

constexpr GenStep stay(S s) { return {s, A::kNothing}; }
constexpr GenStep kGone{S::kDead, A::kGone};
constexpr GenStep kKill{S::kKilling, A::kKillNow};
constexpr GenStep kFail{S::kFailing, A::kFail};
constexpr GenStep kEnd{S::kDraining, A::kTerminate};

// Columns in the order of GenEvent.
constexpr std::array<std::array<GenStep, kGenEvents>, kGenStates> kGenTable = {{
    // kStarting
    {{{S::kSoaking, A::kSoak},
      kFail,
      stay(S::kStarting),
      kFail,
      kFail,
      stay(S::kStarting),
      stay(S::kStarting),
      stay(S::kStarting),
      kFail,
      kFail,
      kKill,
      kFail,
      {S::kDead, A::kStartFailed}}},
    // kSoaking
    {{stay(S::kSoaking),
      stay(S::kSoaking),
      {S::kActive, A::kPromote},
      kFail,
      kFail,
      {S::kActive, A::kPromote},
      stay(S::kSoaking),
      stay(S::kSoaking),
      kFail,
      kFail,
      kKill,
      kFail,
      {S::kDead, A::kStartFailed}}},
    // kActive: only kRetire (a newer one is active) and kStop take it out of service.
    {{stay(S::kActive),
      stay(S::kActive),
      stay(S::kActive),
      {S::kActive, A::kReplace},
      {S::kQuiescing, A::kQuiesce},
      stay(S::kActive),
      stay(S::kActive),
      stay(S::kActive),
      kEnd,
      stay(S::kActive),
      kKill,
      {S::kActive, A::kReplace},
      {S::kDead, A::kCrashed}}},
    // kQuiescing
    {{stay(S::kQuiescing),
      stay(S::kQuiescing),
      stay(S::kQuiescing),
      kEnd,
      stay(S::kQuiescing),
      {S::kActive, A::kReinstate},
      kEnd,
      stay(S::kQuiescing),
      kEnd,
      stay(S::kQuiescing),
      kKill,
      kEnd,
      kGone}},
    // kDraining
    {{stay(S::kDraining),
      stay(S::kDraining),
      stay(S::kDraining),
      stay(S::kDraining),
      stay(S::kDraining),
      stay(S::kDraining),
      stay(S::kDraining),
      {S::kDraining, A::kNextStage},
      stay(S::kDraining),
      stay(S::kDraining),
      kKill,
      stay(S::kDraining),
      kGone}},
    // kFailing
    {{stay(S::kFailing),
      stay(S::kFailing),
      stay(S::kFailing),
      stay(S::kFailing),
      stay(S::kFailing),
      stay(S::kFailing),
      stay(S::kFailing),
      {S::kFailing, A::kNextStage},
      stay(S::kFailing),
      stay(S::kFailing),
      kKill,
      stay(S::kFailing),
      kGone}},
    // kKilling: SIGKILL is repeated, because a group can grow while it is being killed.
    {{stay(S::kKilling), stay(S::kKilling), stay(S::kKilling), stay(S::kKilling), stay(S::kKilling),
      stay(S::kKilling), stay(S::kKilling), kKill, stay(S::kKilling), stay(S::kKilling), kKill,
      stay(S::kKilling), kGone}},
    // kDead
    {{stay(S::kDead), stay(S::kDead), stay(S::kDead), stay(S::kDead), stay(S::kDead),
      stay(S::kDead), stay(S::kDead), stay(S::kDead), stay(S::kDead), stay(S::kDead),
      stay(S::kDead), stay(S::kDead), stay(S::kDead)}},
}};

using V = ServiceState;
using X = ServiceAction;
constexpr ServiceStep hold(V v) { return {v, X::kNothing}; }
constexpr ServiceStep kEndAll{V::kStopping, X::kEndAll};
constexpr ServiceStep kRefused{V::kStopping, X::kRefuse};

// Columns in the order of ServiceEvent.
constexpr std::array<std::array<ServiceStep, kServiceEvents>, kServiceStates> kServiceTable = {{
    // kWaiting: begins later with what is current then, so a reload has nothing to do.
    {{{V::kBoot, X::kStart},
      hold(V::kWaiting),
      hold(V::kWaiting),
      hold(V::kWaiting),
      hold(V::kWaiting),
      hold(V::kWaiting),
      hold(V::kWaiting),
      kEndAll,
      hold(V::kWaiting)}},
    // kBoot
    {{hold(V::kBoot),
      {V::kBoot, X::kRemember},
      {V::kBoot, X::kSupersede},
      {V::kRunning, X::kFinish},
      {V::kDegraded, X::kRetryBoot},
      hold(V::kBoot),
      hold(V::kBoot),
      kEndAll,
      hold(V::kBoot)}},
    // kRunning: kFailed and kPromoted are late news of a generation given up before.
    {{hold(V::kRunning),
      {V::kReloading, X::kStart},
      {V::kReloading, X::kStart},
      {V::kRunning, X::kFinish},
      hold(V::kRunning),
      {V::kDegraded, X::kRestart},
      {V::kRunning, X::kFinish},
      kEndAll,
      hold(V::kRunning)}},
    // kReloading: if the active one dies, the one on its way is already the restart.
    {{hold(V::kReloading),
      {V::kReloading, X::kRemember},
      {V::kReloading, X::kSupersede},
      {V::kRunning, X::kFinish},
      {V::kRunning, X::kKeepOld},
      hold(V::kDegraded),
      {V::kReloading, X::kNothing},
      kEndAll,
      hold(V::kReloading)}},
    // kDegraded
    {{hold(V::kDegraded),
      {V::kDegraded, X::kSpawnNow},
      {V::kDegraded, X::kSupersede},
      {V::kRunning, X::kFinish},
      {V::kDegraded, X::kRestart},
      hold(V::kDegraded),
      {V::kRunning, X::kFinish},
      kEndAll,
      hold(V::kDegraded)}},
    // kStopping
    {{hold(V::kStopping),
      kRefused,
      kRefused,
      hold(V::kStopping),
      hold(V::kStopping),
      hold(V::kStopping),
      hold(V::kStopping),
      hold(V::kStopping),
      {V::kStopped, X::kEnd}}},
    // kStopped
    {{hold(V::kStopped),
      {V::kStopped, X::kRefuse},
      {V::kStopped, X::kRefuse},
      hold(V::kStopped),
      hold(V::kStopped),
      hold(V::kStopped),
      hold(V::kStopped),
      hold(V::kStopped),
      hold(V::kStopped)}},
}};

constexpr std::string_view kGenStateNames[] = {"starting", "soaking", "active",  "quiescing",
                                               "draining", "failing", "killing", "dead"};
constexpr std::string_view kGenEventNames[] = {
    "ready",     "ready-timeout", "soak-over",  "unhealthy", "retire",
    "reinstate", "drained",       "stage-over", "stop",      "abort",
    "kill",      "said-stopping", "exit"};
constexpr std::string_view kGenActionNames[] = {
    "",          "soak",       "promote", "fail",         "replace", "quiesce", "reinstate",
    "terminate", "next stage", "kill",    "start failed", "crashed", "gone"};
constexpr std::string_view kServiceStateNames[] = {"waiting",  "boot",     "running", "reloading",
                                                   "degraded", "stopping", "stopped"};
constexpr std::string_view kServiceEventNames[] = {"begin",      "reload", "reload-now",
                                                   "promoted",   "failed", "active-lost",
                                                   "reinstated", "stop",   "all-gone"};
constexpr std::string_view kServiceActionNames[] = {
    "",         "start",      "remember", "supersede", "spawn now", "finish",
    "keep old", "retry boot", "restart",  "end all",   "end",       "refuse"};

template <class E>
constexpr std::size_t index(E e) {
  return static_cast<std::size_t>(e);
}

template <class State, class Event>
void render(std::string& out, std::size_t states, std::size_t events) {
  out += "| event |";
  for (std::size_t s = 0; s < states; ++s) out += " " + std::string(name(State(s))) + " |";
  out += "\n|---|";
  for (std::size_t s = 0; s < states; ++s) out += "---|";
  out += '\n';
  for (std::size_t e = 0; e < events; ++e) {
    out += "| **" + std::string(name(Event(e))) + "** |";
    for (std::size_t s = 0; s < states; ++s) {
      const auto& step = stepOf(State(s), Event(e));
      std::string cell;
      if (step.next != State(s)) cell = "→ " + std::string(name(step.next));
      if (std::string_view action = name(step.action); !action.empty()) {
        cell += (cell.empty() ? "*" : ", *") + std::string(action) + "*";
      }
      out += " " + (cell.empty() ? "–" : cell) + " |";
    }
    out += '\n';
  }
}

}  // namespace

const GenStep& stepOf(GenState state, GenEvent event) {
  return kGenTable[index(state)][index(event)];
}
const ServiceStep& stepOf(ServiceState state, ServiceEvent event) {
  return kServiceTable[index(state)][index(event)];
}

std::string_view name(GenState s) { return kGenStateNames[index(s)]; }
std::string_view name(GenEvent e) { return kGenEventNames[index(e)]; }
std::string_view name(GenAction a) { return kGenActionNames[index(a)]; }
std::string_view name(ServiceState s) { return kServiceStateNames[index(s)]; }
std::string_view name(ServiceEvent e) { return kServiceEventNames[index(e)]; }
std::string_view name(ServiceAction a) { return kServiceActionNames[index(a)]; }

std::string renderStateTables() {
  std::string out =
      "Generation: state after an event, and *what is done*. – means nothing happens.\n\n";
  render<GenState, GenEvent>(out, kGenStates, kGenEvents);
  out += "\nService:\n\n";
  render<ServiceState, ServiceEvent>(out, kServiceStates, kServiceEvents);
  return out;
}

}  // namespace godwit::supervise
