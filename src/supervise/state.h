// The two state machines as total tables: every state has an answer to every event. The tables
// decide; machine.cc carries the actions out. docs/godwit-run.md shows them, rendered from here.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace godwit::supervise {

// A generation: one start of the command.
enum class GenState : unsigned char {
  kStarting,   // runs, no public traffic, readiness not yet shown
  kSoaking,    // ready, watched for a while; no traffic but a canary's
  kActive,     // new connections go here
  kQuiescing,  // replaced: no new connection, its queue empties; may still be reinstated
  kDraining,   // was told to end; finishes what it has
  kFailing,    // never served, was told to end
  kKilling,    // got SIGKILL
  kDead,
};
inline constexpr std::size_t kGenStates = 8;

enum class GenEvent : unsigned char {
  kReady,         // all --ready conditions hold
  kReadyTimeout,  // --ready-timeout passed
  kSoakOver,      // --soak passed with good probes, or `promote`
  kUnhealthy,     // a probe or liveness check failed for good
  kRetire,        // a newer generation has become active
  kReinstate,     // roll back to this one
  kDrained,       // queue empty and --linger passed, or the limit for that
  kStageOver,     // one stop stage used up its time
  kStop,          // the service stops
  kAbort,         // `reload --now` gave it up
  kKill,          // kill at once
  kSaidStopping,  // it announced its own end (STOPPING=1)
  kExit,          // its leader is gone
};
inline constexpr std::size_t kGenEvents = 13;

enum class GenAction : unsigned char {
  kNothing,
  kSoak,         // start the soak
  kPromote,      // move the public to it, retire the others
  kFail,         // give up: failure stop sequence, the reload has failed
  kReplace,      // start a replacement, go on serving meanwhile
  kQuiesce,      // wait for the queue and --linger
  kReinstate,    // move the public back to it, fail the newer one
  kTerminate,    // begin the stop sequence
  kNextStage,    // the next signal of the stop sequence
  kKillNow,      // SIGKILL to the whole group
  kStartFailed,  // died before it served: the reload has failed
  kCrashed,      // died while serving
  kGone,         // died when it was expected to
};

struct GenStep {
  GenState next;
  GenAction action;
};
const GenStep& stepOf(GenState state, GenEvent event);

// A service: the sequence of its generations.
enum class ServiceState : unsigned char {
  kWaiting,    // for another service to be ready first
  kBoot,       // the first generation is not active yet
  kRunning,    // one is active
  kReloading,  // one is active, a newer one is on its way
  kDegraded,   // none is active; a restart is due or on its way
  kStopping,
  kStopped,
};
inline constexpr std::size_t kServiceStates = 7;

enum class ServiceEvent : unsigned char {
  kBegin,       // start-up, or the services waited for are ready
  kReload,      // HUP and its equals
  kReloadNow,   // do not wait for the one under way
  kPromoted,    // a generation became active
  kFailed,      // the newest generation failed before it was active
  kActiveLost,  // the active generation died, none could take over
  kReinstated,  // an older generation is active again
  kStop,
  kAllGone,  // no generation is left
};
inline constexpr std::size_t kServiceEvents = 9;

enum class ServiceAction : unsigned char {
  kNothing,
  kStart,      // start a generation
  kRemember,   // one reload, after this one
  kSupersede,  // abort the newest, start another
  kSpawnNow,   // forget the back-off, start at once
  kFinish,     // the reload is done; start the remembered one
  kKeepOld,    // report the failure; start the remembered one
  kRetryBoot,  // back off and start again, or give up
  kRestart,    // back off and restart, or give up
  kEndAll,     // stop every generation
  kEnd,        // the service has ended
  kRefuse,     // tell who asked
};

struct ServiceStep {
  ServiceState next;
  ServiceAction action;
};
const ServiceStep& stepOf(ServiceState state, ServiceEvent event);

std::string_view name(GenState s);
std::string_view name(GenEvent e);
std::string_view name(GenAction a);
std::string_view name(ServiceState s);
std::string_view name(ServiceEvent e);
std::string_view name(ServiceAction a);

// Both tables as Markdown, for docs/godwit-run.md and `godwit-run --print-state-table`.
std::string renderStateTables();

}  // namespace godwit::supervise
