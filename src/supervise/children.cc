#include "supervise/children.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "supervise/procfs.h"
#include "supervise/spawn.h"

namespace godwit::supervise {

void Children::reap() {
  for (;;) {
    siginfo_t info{};
    int r = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    if (r != 0 && errno == EINTR) continue;
    if (r != 0 || info.si_pid == 0) return;
    pid_t pid = info.si_pid;
    ExitStatus status{info.si_code != CLD_EXITED, info.si_status};
    auto it = watched_.find(pid);
    if (it != watched_.end()) {
      OnExit on_exit = std::move(it->second);
      watched_.erase(it);
      on_exit(status);
    } else {
      ++orphans_;
    }
    siginfo_t reaped{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &reaped, WEXITED | WNOHANG) != 0 &&
           errno == EINTR) {
    }
  }
}

std::vector<pid_t> Children::stragglers(pid_t group, std::string_view marker) const {
  std::vector<pid_t> out;
  for (pid_t pid : childrenOfSelf()) {
    if (pid == group || watched_.count(pid) != 0 || isZombie(pid)) continue;
    if (::getpgid(pid) == group || hasEnvironment(pid, marker)) out.push_back(pid);
  }
  return out;
}

HelperProcess::HelperProcess(EventLoop& loop, Children& children, Sink& sink)
    : loop_(loop), children_(children), output_(loop, sink), timer_(loop, [this] { kill(); }) {}

HelperProcess::~HelperProcess() {
  if (pid_ > 0) {
    children_.forget(pid_);  // reaped as an orphan
    kill();
  }
}

void HelperProcess::kill() {
  if (pid_ <= 0) return;
  // Unreaped, so the group is still its own.
  ::kill(-pid_, SIGKILL);
  signalProcess(pidfd_.get(), pid_, SIGKILL);
}

Result<> HelperProcess::start(const std::string& command, const std::vector<std::string>& env,
                              const std::string& cwd, TimeNs limit, Done done) {
  auto write_end = output_.open();
  if (!write_end.ok()) return std::move(write_end).error();
  SpawnPlan plan;
  plan.argv = {"sh", "-c", command};
  plan.candidates = {"/bin/sh"};
  plan.env = env;
  plan.cwd = cwd;
  plan.stdout_fd = write_end->get();
  plan.stderr_fd = write_end->get();
  plan.death_signal = SIGKILL;
  auto s = spawnProcess(plan);
  if (!s.ok()) return std::move(s).error();
  pid_ = s->pid;
  pidfd_ = std::move(s->pidfd);
  done_ = std::move(done);
  timer_.armIn(limit);
  children_.watch(pid_, [this](const ExitStatus& status) {
    pid_ = 0;
    pidfd_.reset();
    timer_.disarm();
    output_.finish();
    Done d = std::exchange(done_, nullptr);
    if (d) d(status, output_.lastLines(20));  // may destroy this
  });
  return {};
}

}  // namespace godwit::supervise
