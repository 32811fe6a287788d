#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/options.h"

namespace godwit::supervise {

struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// Everything a child needs, decided before the fork: after it only system calls are made.
struct SpawnPlan {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::vector<std::string> candidates;         // paths to try in order, as execvp(3) would
  std::vector<int> listen_fds;                 // become 3, 4, ...
  std::vector<std::pair<int, int>> extra_fds;  // {ours, theirs}; theirs is above the listen fds
  bool fill_listen_pid = false;  // env holds the holes below, to be filled by the child
  int stdout_fd = -1;            // -1: inherited
  int stderr_fd = -1;
  std::string cwd;  // by path ...
  int cwd_fd = -1;  // ... or by descriptor
  std::optional<Credentials> credentials;
  std::optional<int> umask;
  std::optional<int> nice;
  std::vector<ResourceLimit> rlimits;
  bool no_new_privs = false;
  bool setsid = false;
  int death_signal = 0;
};
inline constexpr std::string_view kListenPidHole = "LISTEN_PID=00000000000000000000";
// Inode of the child's pidfd, which no later process has: sd_listen_fds(3) compares it when it can.
inline constexpr std::string_view kListenPidfdHole = "LISTEN_PIDFDID=00000000000000000000";
// False before Linux 6.9, where all pidfds share one inode.
bool pidfdsAreUnique();

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;  // may be none on old kernels
  // Reads end-of-file when exec has worked, else an ExecFailure.
  UniqueFd exec_result;
};
struct ExecFailure {
  int stage = 0;  // index into kExecStages
  int error = 0;
};
std::string describe(const ExecFailure& f, const SpawnPlan& plan);
std::string describe(const ExecFailure& f, const std::string& command);
[[nodiscard]] bool isExecStage(const ExecFailure& f);

Result<Spawned> spawnProcess(const SpawnPlan& plan);

// "a/b" as it is, else every directory of `path_variable` before it.
std::vector<std::string> execCandidates(const std::string& command, std::string_view path_variable);

// pidfd_send_signal when there is one, else kill. False when the process is gone.
bool signalProcess(int pidfd, pid_t pid, int signal);

}  // namespace godwit::supervise
