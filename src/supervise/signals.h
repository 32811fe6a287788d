#pragma once

#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"
#include "supervise/units.h"

namespace godwit::supervise {

// "TERM", "SIGTERM", "15", "RTMIN+2" -> number. Case does not matter.
std::optional<int> parseSignal(std::string_view text);
std::string signalName(int number);  // "TERM", "RTMIN+2"

// What a signal sent to the supervisor does.
enum class SignalAction : unsigned char {
  kReload,
  kStop,
  kStopNow,  // stop; again within five seconds: kill
  kKill,
  kForward,     // to the leader of the active generation
  kForwardAll,  // to every generation
  kReopen,      // own log, then forward
  kUpgrade,
  kRollback,
  kDump,  // the status as log lines
  kPause,
  kResume,
  kIgnore,
};

struct SignalEffect {
  SignalAction action = SignalAction::kIgnore;
  int signal = 0;  // for the forwards; 0 = the same one
  friend bool operator==(const SignalEffect&, const SignalEffect&) = default;
};

// Every signal has an effect; a signal may have several, done in order.
class SignalMap {
 public:
  SignalMap();  // the documented defaults
  // "QUIT=stop", "USR2=forward:USR1,dump".
  Result<> apply(std::string_view text);
  [[nodiscard]] const std::vector<SignalEffect>& of(int signal) const;
  // False when no --map has named it.
  [[nodiscard]] bool isChanged(int signal) const { return changed_.count(signal) != 0; }

 private:
  std::map<int, std::vector<SignalEffect>> effects_;
  std::map<int, bool> changed_;
};

// One step of ending a process: a signal, then how long it may take.
struct StopStage {
  int signal = SIGTERM;
  TimeNs wait = 0;  // kNever only for SIGKILL, which is not waited for
  friend bool operator==(const StopStage&, const StopStage&) = default;
};
// "TERM/30s,QUIT/5s,KILL". A final KILL is added if it is missing.
Result<std::vector<StopStage>> parseStopSequence(std::string_view text);

}  // namespace godwit::supervise
