#include "supervise/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/os_error.h"

namespace godwit::supervise {
namespace {

enum Stage : int {
  kGroupStage,
  kFdStage,
  kCwdStage,
  kLimitStage,
  kUserStage,
  kDeathStage,
  kExecStage
};
constexpr std::string_view kExecStages[] = {"set the process group",
                                            "pass the descriptors",
                                            "change to the directory",
                                            "set a resource limit",
                                            "change the user",
                                            "outlive the supervisor",
                                            "execute"};

// What the child reads; pointers into vectors the parent made.
struct ChildView {
  const SpawnPlan& plan;
  char** argv;
  char** env;
  char** candidates;
  char* listen_pid_digits;
  char* listen_pidfd_digits;
  const int* high_fds;  // the same descriptors, out of the way of the numbers they will get
  int null_fd;
  int error_fd;
  pid_t parent;
};

[[noreturn]] void fail(const ChildView& v, int stage, int error) {
  ExecFailure f{stage, error};
  // Nothing can be done if even this fails; the exit code says it too.
  [[maybe_unused]] ssize_t n = ::write(v.error_fd, &f, sizeof f);
  ::_exit(error == ENOENT ? 127 : 126);
}

// In place of twenty zeros, which would read as octal to some: the digits, then the string's end.
void writeNumber(char* digits, std::uint64_t value) {
  char buffer[20];
  int n = 0;
  do {
    buffer[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  for (int i = 0; i < n; ++i) digits[i] = buffer[n - 1 - i];
  digits[n] = '\0';
}

void fillHoles(const ChildView& v) {
  if (v.listen_pid_digits) writeNumber(v.listen_pid_digits, static_cast<std::uint64_t>(::getpid()));
  if (!v.listen_pidfd_digits) return;
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  struct stat st {};
  if (fd >= 0 && ::fstat(fd, &st) == 0) writeNumber(v.listen_pidfd_digits, st.st_ino);
  if (fd >= 0) ::close(fd);
}

int placeFds(const ChildView& v) {
  const SpawnPlan& p = v.plan;
  if (::dup2(v.null_fd, 0) < 0) return errno;
  std::size_t k = 0;
  int next = 3;
  for (std::size_t i = 0; i < p.listen_fds.size(); ++i, ++k, ++next) {
    if (::dup2(v.high_fds[k], next) < 0) return errno;
  }
  for (const auto& extra : p.extra_fds) {
    if (::dup2(v.high_fds[k++], extra.second) < 0) return errno;
    next = std::max(next, extra.second + 1);
  }
  if (p.stdout_fd >= 0 && ::dup2(v.high_fds[k++], 1) < 0) return errno;
  if (p.stderr_fd >= 0 && ::dup2(v.high_fds[k++], 2) < 0) return errno;
  // Everything else goes at exec; error_fd has the flag already. Numbers between the listen fds
  // and a high extra one may hold something of ours, so the range begins right after the former.
  auto first = static_cast<unsigned>(3 + p.listen_fds.size());
  for (const auto& extra : p.extra_fds) {
    auto number = static_cast<unsigned>(extra.second);
    if (number > first) ::syscall(SYS_close_range, first, number - 1, 4U /* CLOEXEC */);
    first = std::max(first, number + 1);
  }
  if (::syscall(SYS_close_range, first, ~0U, 4U) != 0) {
    for (int fd = static_cast<int>(first); fd < 1024; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return 0;
}

int takeCredentials(const SpawnPlan& p) {
  if (!p.credentials) return 0;
  const Credentials& c = *p.credentials;
  if (::geteuid() == 0 && ::setgroups(c.groups.size(), c.groups.data()) != 0) return errno;
  if (::setresgid(c.gid, c.gid, c.gid) != 0) return errno;
  if (::setresuid(c.uid, c.uid, c.uid) != 0) return errno;
  return 0;
}

// Only async-signal-safe calls from here to exec.
[[noreturn]] void runChild(const ChildView& v) {
  const SpawnPlan& p = v.plan;
  if (p.setsid) {
    if (::setsid() < 0) fail(v, kGroupStage, errno);
  } else if (::setpgid(0, 0) != 0) {
    fail(v, kGroupStage, errno);
  }
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int s = 1; s <= SIGRTMAX; ++s) ::sigaction(s, &standard, nullptr);
  if (int e = placeFds(v)) fail(v, kFdStage, e);
  if (p.cwd_fd >= 0 ? ::fchdir(p.cwd_fd) != 0 : (!p.cwd.empty() && ::chdir(p.cwd.c_str()) != 0)) {
    fail(v, kCwdStage, errno);
  }
  if (p.umask) ::umask(static_cast<mode_t>(*p.umask));
  for (const ResourceLimit& l : p.rlimits) {
    rlimit r{static_cast<rlim_t>(l.soft), static_cast<rlim_t>(l.hard)};
    if (::setrlimit(static_cast<__rlimit_resource>(l.resource), &r) != 0) {
      fail(v, kLimitStage, errno);
    }
  }
  if (p.nice && ::setpriority(PRIO_PROCESS, 0, *p.nice) != 0) fail(v, kLimitStage, errno);
  if (int e = takeCredentials(p)) fail(v, kUserStage, e);
  if (p.no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(v, kUserStage, errno);
  if (p.death_signal != 0) {
    // After the credentials, which clear it; then see whether the parent died in between.
    if (::prctl(PR_SET_PDEATHSIG, p.death_signal, 0, 0, 0) != 0) fail(v, kDeathStage, errno);
    if (::getppid() != v.parent) ::_exit(125);
  }
  fillHoles(v);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = ENOENT;
  for (char** path = v.candidates; *path; ++path) {
    ::execve(*path, v.argv, v.env);
    // As execvp: a file that may not be executed is worth reporting over one that is not there.
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
  }
  fail(v, kExecStage, error);
}

pid_t forkWithPidfd(int* pidfd) {
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uintptr_t>(pidfd);
  args.exit_signal = SIGCHLD;
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL)) {
    return static_cast<pid_t>(pid);
  }
  pid_t p = ::fork();
  if (p > 0) {
    *pidfd = static_cast<int>(::syscall(SYS_pidfd_open, p, 0));
    if (*pidfd >= 0) ::fcntl(*pidfd, F_SETFD, FD_CLOEXEC);
  }
  return p;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

bool pidfdsAreUnique() {
  constexpr long kPidFileSystem = 0x50494446;
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  struct statfs fs {};
  return fd && ::fstatfs(fd.get(), &fs) == 0 && fs.f_type == kPidFileSystem;
}

bool isExecStage(const ExecFailure& f) { return f.stage == kExecStage; }

std::string describe(const ExecFailure& f, const std::string& command) {
  auto stage = static_cast<std::size_t>(f.stage);
  std::string what(stage < std::size(kExecStages) ? kExecStages[stage] : "start");
  if (f.stage == kExecStage) what += " " + command;
  return "cannot " + what + ": " + errnoText(f.error);
}
std::string describe(const ExecFailure& f, const SpawnPlan& plan) {
  return describe(f, plan.argv.front());
}

Result<Spawned> spawnProcess(const SpawnPlan& plan) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) return osError("create a pipe");
  UniqueFd read_end(pipe_fds[0]);
  // Copies above every number a child may be given, so that placing one never closes another.
  int floor = 64;
  for (const auto& extra : plan.extra_fds) floor = std::max(floor, extra.second + 1);
  std::vector<UniqueFd> owned;
  std::vector<int> high;
  auto lift = [&](int fd) {
    int n = ::fcntl(fd, F_DUPFD_CLOEXEC, floor);
    owned.emplace_back(n);
    high.push_back(n);
    return n >= 0;
  };
  UniqueFd error_low(pipe_fds[1]);
  UniqueFd error_fd(::fcntl(error_low.get(), F_DUPFD_CLOEXEC, floor));
  error_low.reset();
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null_fd) null_fd = UniqueFd(::fcntl(null_fd.get(), F_DUPFD_CLOEXEC, floor));
  bool good = error_fd && null_fd;
  for (int fd : plan.listen_fds) good = good && lift(fd);
  for (const auto& extra : plan.extra_fds) good = good && lift(extra.first);
  if (plan.stdout_fd >= 0) good = good && lift(plan.stdout_fd);
  if (plan.stderr_fd >= 0) good = good && lift(plan.stderr_fd);
  if (!good) return osError("duplicate descriptors");

  std::vector<char*> argv = pointers(plan.argv);
  std::vector<char*> env = pointers(plan.env);
  std::vector<char*> candidates = pointers(plan.candidates);
  std::string pid_hole(kListenPidHole);
  std::string pidfd_hole(kListenPidfdHole);
  auto digits = [&](std::string& hole, std::string_view pattern) -> char* {
    for (char*& e : env) {
      if (!plan.fill_listen_pid || !e || std::string_view(e) != pattern) continue;
      e = hole.data();
      return hole.data() + pattern.find('=') + 1;
    }
    return nullptr;
  };
  char* pid_digits = digits(pid_hole, kListenPidHole);
  char* pidfd_digits = digits(pidfd_hole, kListenPidfdHole);
  ChildView view{plan,         argv.data(), env.data(),    candidates.data(), pid_digits,
                 pidfd_digits, high.data(), null_fd.get(), error_fd.get(),    ::getpid()};
  int pidfd = -1;
  pid_t pid = forkWithPidfd(&pidfd);
  if (pid < 0) return osError("fork");
  if (pid == 0) runChild(view);
  Spawned out;
  out.pid = pid;
  out.pidfd.reset(pidfd);
  out.exec_result = std::move(read_end);
  return out;
}

std::vector<std::string> execCandidates(const std::string& command, std::string_view path) {
  if (command.find('/') != std::string::npos) return {command};
  std::vector<std::string> out;
  if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
  for (;;) {
    std::size_t colon = path.find(':');
    std::string dir(path.substr(0, colon));
    out.push_back((dir.empty() ? "." : dir) + "/" + command);
    if (colon == std::string_view::npos) return out;
    path.remove_prefix(colon + 1);
  }
}

bool signalProcess(int pidfd, pid_t pid, int signal) {
  if (pidfd >= 0) {
    long r = ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
    if (r == 0) return true;
    if (errno != ENOSYS && errno != EBADF) return false;
  }
  return ::kill(pid, signal) == 0;
}

}  // namespace godwit::supervise
