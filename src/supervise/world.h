// What the policy (machine.h) needs from outside. The service implements it with processes and
// sockets, the property test with a simulated world.
#pragma once

#include <optional>
#include <string>

#include "supervise/units.h"

namespace godwit::supervise {

// What to run: what the configuration says now, or what last served well.
enum class Release : unsigned char { kCurrent, kLastGood };

// Why something ended or failed: a word for metrics and scripts, a sentence for people.
struct Reason {
  std::string kind;  // exit, signal, timeout, probe, exec, fork, check, limit, aborted, stopping
  std::string text;
};

// How a reload ended for who asked.
enum class Outcome : unsigned char {
  kActive,
  kFailed,      // the old generation was kept
  kSuperseded,  // by `successor`; its outcome counts
  kRefused,
  kRolledBack,  // it was active, and then the older one again
};
struct AttemptResult {
  int attempt = 0;
  Outcome outcome = Outcome::kActive;
  int gen = 0;
  int successor = 0;
  Reason reason;
};

struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit code or signal number
  [[nodiscard]] bool ok() const { return !signaled && code == 0; }
  [[nodiscard]] int asExitCode() const { return signaled ? 128 + code : code; }
};

// Where new connections go. Zero means none.
struct Routing {
  int active = 0;
  int candidate = 0;  // starting or soaking: reached by probes, and by the canary share
  int canary_percent = 0;
};

enum class Verdict : unsigned char { kGood, kUnknownYet, kBad };

// Calls come from inside Machine; an implementation must not call back into the machine.
class World {
 public:
  virtual ~World() = default;

  // Starts generation `gen` in `slot`. An error means nothing was started.
  virtual std::optional<Reason> spawn(int gen, int slot, Release release) = 0;
  // To the leader, or to the whole group and whatever it started.
  virtual void signal(int gen, int signal, bool group) = 0;
  // Sends new connections there, all of them, at once. False: the kernel refused; nothing changed.
  virtual bool route(const Routing& routing) = 0;
  // No connection waits for this generation to accept it.
  virtual bool queueEmpty(int gen) = 0;
  // Probes during the soak.
  virtual Verdict soakVerdict(int gen) = 0;
  // Begins --check for an attempt; false when there is none. Answer: Machine::checkDone.
  virtual bool startCheck(int attempt) = 0;
  virtual void cancelCheck() = 0;
  // 0.8 to 1.2.
  virtual double jitter() = 0;

  // News, after the state has changed.
  virtual void onPromoted(int gen, int old_gen) = 0;
  virtual void onFailed(int gen, const Reason& reason) = 0;  // before it was active
  virtual void onCrashed(int gen, const ExitStatus& status) = 0;
  virtual void onState(int gen) = 0;  // it has entered another state
  virtual void onGood(int gen) = 0;   // its release served well: keep it as last good
  virtual void onAttempt(const AttemptResult& result) = 0;
  virtual void onRestartDelay(TimeNs delay) = 0;
  virtual void onEnded(int exit_code) = 0;
};

}  // namespace godwit::supervise
