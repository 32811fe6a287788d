#include <sys/resource.h>
#include <sys/timex.h>

#include <chrono>
#include <fstream>

#include "base/options.h"
#include "ops/doctor.h"

namespace godwit::ops {
namespace {

constexpr rlim_t kOpenFiles = 16'384;  // connections, and what they wait for
constexpr std::int64_t kQueue = 1024;  // connections not accepted yet

std::int64_t kernelNumber(const std::string& path) {
  std::ifstream file("/proc/sys/" + path);
  std::string word;
  file >> word;
  return parseInt(word).value_or(-1);
}

// `path` as sysctl(8) writes it, with slashes.
void atLeast(const std::string& path, std::int64_t least, const std::string& what, Findings& out) {
  std::int64_t now = kernelNumber(path);
  if (now < 0) return;  // another kernel
  std::string name = path;
  for (char& c : name) {
    if (c == '/') c = '.';
  }
  bool good = now >= least;
  out.push_back({good ? Level::kOk : Level::kWarning, what, name + " is " + std::to_string(now),
                 good ? "" : "sysctl -w " + name + "=" + std::to_string(least)});
}

}  // namespace

void examineKernel(Findings& out) {
  rlimit files = {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    bool good = files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= kOpenFiles;
    out.push_back({good ? Level::kOk : Level::kWarning, "open files",
                   "this process may open " + std::to_string(files.rlim_cur),
                   good ? "" : "ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit"});
  }
  atLeast("net/core/somaxconn", kQueue, "accept queue", out);
  atLeast("net/ipv4/tcp_max_syn_backlog", kQueue, "handshake queue", out);
  if (std::int64_t abort = kernelNumber("net/ipv4/tcp_abort_on_overflow"); abort > 0) {
    out.push_back({Level::kWarning, "accept queue",
                   "net.ipv4.tcp_abort_on_overflow resets connections when the queue is full",
                   "sysctl -w net.ipv4.tcp_abort_on_overflow=0"});
  }
  if (std::int64_t over = kernelNumber("vm/overcommit_memory"); over == 2) {
    out.push_back(
        {Level::kNote, "memory", "vm.overcommit_memory is 2: memory is refused early", ""});
  }
}

void examineClock(Findings& out) {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  constexpr std::chrono::hours kSince2024{473'352};
  if (now < kSince2024) {
    out.push_back({Level::kProblem, "clock", "the clock is years behind",
                   "set the clock (timedatectl set-ntp true)"});
    return;
  }
  timex state = {};
  int answer = ::adjtimex(&state);
  bool synchronised = answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  // Containers do not tell, and borrow the clock of a machine that may well be synchronised.
  out.push_back({synchronised ? Level::kOk : Level::kNote, "clock",
                 synchronised ? "synchronised" : "the kernel does not call it synchronised",
                 synchronised ? "" : "timedatectl set-ntp true (timestamps order changes)"});
}

}  // namespace godwit::ops
