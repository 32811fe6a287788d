#include "supervise/signals.h"

#include "base/text.h"

namespace godwit::supervise {
namespace {

struct Named {
  std::string_view name;
  int number;
};
constexpr Named kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

struct NamedAction {
  std::string_view name;
  SignalAction action;
};
constexpr NamedAction kActions[] = {
    {"reload", SignalAction::kReload},
    {"stop", SignalAction::kStop},
    {"kill", SignalAction::kKill},
    {"forward", SignalAction::kForward},
    {"forward-all", SignalAction::kForwardAll},
    {"reopen", SignalAction::kReopen},
    {"upgrade", SignalAction::kUpgrade},
    {"rollback", SignalAction::kRollback},
    {"dump", SignalAction::kDump},
    {"pause", SignalAction::kPause},
    {"resume", SignalAction::kResume},
    {"ignore", SignalAction::kIgnore},
};

const std::vector<SignalEffect> kForwarded = {{SignalAction::kForward, 0}};

}  // namespace

std::optional<int> parseSignal(std::string_view text) {
  std::string name = upper(text);
  std::string_view rest = name;
  if (rest.substr(0, 3) == "SIG") rest.remove_prefix(3);
  for (const Named& s : kSignals) {
    if (s.name == rest) return s.number;
  }
  if (rest == "RTMIN") return SIGRTMIN;
  if (rest.substr(0, 6) == "RTMIN+") {
    auto n = parseInt(rest.substr(6), 0, SIGRTMAX - SIGRTMIN);
    if (n) return SIGRTMIN + static_cast<int>(*n);
    return std::nullopt;
  }
  if (auto n = parseInt(rest, 1, SIGRTMAX)) return static_cast<int>(*n);
  return std::nullopt;
}

std::string signalName(int number) {
  for (const Named& s : kSignals) {
    if (s.number == number) return std::string(s.name);
  }
  if (number >= SIGRTMIN && number <= SIGRTMAX) return "RTMIN+" + std::to_string(number - SIGRTMIN);
  return std::to_string(number);
}

SignalMap::SignalMap() {
  effects_[SIGHUP] = {{SignalAction::kReload, 0}};
  effects_[SIGTERM] = {{SignalAction::kStop, 0}};
  effects_[SIGINT] = {{SignalAction::kStopNow, 0}};
  effects_[SIGQUIT] = {{SignalAction::kStop, SIGQUIT}};
  effects_[SIGUSR1] = {{SignalAction::kReopen, 0}, {SignalAction::kForward, 0}};
  effects_[SIGTSTP] = {{SignalAction::kPause, 0}};
  effects_[SIGCONT] = {{SignalAction::kResume, 0}};
  effects_[SIGPIPE] = {{SignalAction::kIgnore, 0}};
  effects_[SIGCHLD] = {{SignalAction::kIgnore, 0}};
}

Result<> SignalMap::apply(std::string_view text) {
  std::size_t eq = text.find('=');
  auto bad = [&](std::string why) {
    return Error(ErrorCode::kInvalid, "--map " + std::string(text) + ": " + std::move(why));
  };
  if (eq == std::string_view::npos) return bad("expected SIGNAL=ACTION");
  auto signal = parseSignal(text.substr(0, eq));
  if (!signal) return bad("unknown signal");
  if (*signal == SIGKILL || *signal == SIGSTOP || *signal == SIGCHLD) {
    return bad("this signal cannot be mapped");
  }
  std::vector<SignalEffect> effects;
  std::string_view rest = text.substr(eq + 1);
  while (!rest.empty()) {
    std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    std::size_t colon = item.find(':');
    std::string_view name = item.substr(0, colon);
    const NamedAction* found = nullptr;
    for (const NamedAction& a : kActions) {
      if (a.name == name) found = &a;
    }
    if (!found) return bad("unknown action '" + std::string(name) + "'");
    SignalEffect effect{found->action, 0};
    if (colon != std::string_view::npos) {
      auto target = parseSignal(item.substr(colon + 1));
      if (!target) return bad("unknown signal after ':'");
      if (effect.action != SignalAction::kForward && effect.action != SignalAction::kForwardAll &&
          effect.action != SignalAction::kStop) {
        return bad("only forward, forward-all and stop take a signal");
      }
      effect.signal = *target;
    }
    effects.push_back(effect);
  }
  if (effects.empty()) return bad("no action");
  effects_[*signal] = std::move(effects);
  changed_[*signal] = true;
  return {};
}

const std::vector<SignalEffect>& SignalMap::of(int signal) const {
  auto it = effects_.find(signal);
  return it == effects_.end() ? kForwarded : it->second;
}

Result<std::vector<StopStage>> parseStopSequence(std::string_view text) {
  std::vector<StopStage> out;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    std::size_t slash = item.find('/');
    auto signal = parseSignal(item.substr(0, slash));
    if (!signal) {
      return Error(ErrorCode::kInvalid, "unknown signal in '" + std::string(item) + "'");
    }
    StopStage stage{*signal, 30 * kSecond};
    if (slash != std::string_view::npos) {
      auto wait = parseDuration(item.substr(slash + 1));
      if (!wait || *wait == kNever) {
        return Error(ErrorCode::kInvalid, "bad time in '" + std::string(item) + "'");
      }
      stage.wait = *wait;
    }
    out.push_back(stage);
    if (stage.signal == SIGKILL) break;
  }
  if (out.empty()) return Error(ErrorCode::kInvalid, "empty stop sequence");
  if (out.back().signal != SIGKILL) out.push_back({SIGKILL, kNever});
  out.back().wait = kNever;
  if (out.size() > 8) return Error(ErrorCode::kInvalid, "more than 8 stop stages");
  return out;
}

}  // namespace godwit::supervise
