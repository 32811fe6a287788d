#include <csignal>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/instance.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kSecondInterrupt = 5 * kSecond;
}

Result<> Instance::openSignals() {
  sigset_t all;
  ::sigfillset(&all);
  // Faults of our own must end us.
  for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) ::sigdelset(&all, s);
  if (::sigprocmask(SIG_BLOCK, &all, nullptr) != 0) return osError("block signals");
  signal_fd_.reset(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd_) return osError("create a signal descriptor");
  // Ignored signals would not even become pending.
  for (int s = 1; s < SIGRTMAX; ++s) {
    struct sigaction now {};
    if (::sigaction(s, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) {
      now.sa_handler = SIG_DFL;
      ::sigaction(s, &now, nullptr);
    }
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return loop_.add(signal_fd_.get(), EPOLLIN, [this](std::uint32_t) { onSignals(); });
}

void Instance::onSignals() {
  signalfd_siginfo info[16];
  for (;;) {
    ssize_t n = ::read(signal_fd_.get(), info, sizeof info);
    if (n <= 0) return;
    auto count = static_cast<std::size_t>(n) / sizeof info[0];
    for (std::size_t i = 0; i < count; ++i) onSignal(info[i]);
  }
}

void Instance::onSignal(const signalfd_siginfo& info) {
  int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGCHLD) {
    children_.reap();
    for (auto& s : services_) s->childrenChanged();
    return;
  }
  log::debug("signal", {{"signal", signalName(signal)}, {"from", info.ssi_pid}});
  const SignalMap& map = settings_.instance.signals;
  if (signal == SIGHUP && info.ssi_code == SI_KERNEL && !settings_.instance.tty_hup_reloads &&
      !map.isChanged(SIGHUP)) {
    log::info("the terminal is gone: stopping");
    stop(0);
    return;
  }
  for (const SignalEffect& e : map.of(signal)) run(e, signal);
}

void Instance::run(const SignalEffect& effect, int signal) {
  int target = effect.signal != 0 ? effect.signal : signal;
  switch (effect.action) {
    case SignalAction::kReload: {
      log::info("reload", {{"by", "SIG" + signalName(signal)}});
      Started s = reload("", false);
      if (!s.refused.empty()) log::error("reload refused", {{"why", s.refused}});
      return;
    }
    case SignalAction::kStopNow: {
      TimeNs now = monotonicNow();
      if (interrupted_at_ != 0 && now - interrupted_at_ < kSecondInterrupt) return killAll();
      interrupted_at_ = now;
      stop(0);
      return;
    }
    case SignalAction::kStop:
      if (settings_.instance.kill_on_term && signal == SIGTERM) return killAll();
      stop(effect.signal);
      return;
    case SignalAction::kKill:
      killAll();
      return;
    case SignalAction::kForward:
      for (auto& s : services_) s->forward(target, 0);
      return;
    case SignalAction::kForwardAll:
      for (auto& s : services_) s->forwardAll(target);
      return;
    case SignalAction::kReopen:
      for (auto& s : services_) s->reopenLogs();
      return;
    case SignalAction::kUpgrade:
      if (std::string why = upgrade(); !why.empty()) log::error("no upgrade", {{"why", why}});
      return;
    case SignalAction::kRollback:
      for (auto& s : services_) s->machine().rollback(monotonicNow());
      return;
    case SignalAction::kDump:
      dump();
      return;
    case SignalAction::kPause:
      for (auto& s : services_) s->pause(true);
      // Job control: the shell sees us stopped. As PID 1 nothing could continue us.
      if (signal == SIGTSTP && ::getpid() != 1) ::raise(SIGSTOP);
      return;
    case SignalAction::kResume:
      for (auto& s : services_) s->pause(false);
      return;
    case SignalAction::kIgnore:
      return;
  }
}

void Instance::stop(int signal) {
  if (stopping_) return;
  stopping_ = true;
  stop_signal_ = signal;
  upgrade_wanted_ = false;
  log::info("stopping");
  manager_.stopping();
  TimeNs longest = 0;
  for (auto& s : services_) {
    TimeNs sum = 5 * kSecond;
    for (const StopStage& stage : s->options().policy.stop) {
      if (stage.wait != kNever) sum = timeAfter(sum, stage.wait);
    }
    longest = std::max(longest, sum);
  }
  manager_.extend(longest);
  stopNext();
}

void Instance::killAll() {
  log::warn("killing everything");
  stop(SIGKILL);
  for (auto& s : services_) s->machine().killAll(monotonicNow());
}

void Instance::dump() {
  for (auto& s : services_) {
    JsonWriter w;
    s->writeStatus(w);
    log::info("status", {{"service", s->name()}, {"json", w.text()}});
  }
}

}  // namespace godwit::supervise
