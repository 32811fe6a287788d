#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "supervise/loop.h"
#include "supervise/output.h"
#include "supervise/world.h"

namespace godwit::supervise {

// Reaps every child, ours and adopted, exactly once.
class Children {
 public:
  // Called while the child is still a zombie: its pid and process group cannot be anybody else's.
  using OnExit = std::function<void(const ExitStatus&)>;
  void watch(pid_t pid, OnExit on_exit) { watched_[pid] = std::move(on_exit); }
  void forget(pid_t pid) { watched_.erase(pid); }
  void reap();
  [[nodiscard]] std::uint64_t orphans() const { return orphans_; }

  // What a leader that has died left to us: living children in its process group, or with its mark
  // in their environment if they left the group. They are unreaped, so their pids are theirs.
  [[nodiscard]] std::vector<pid_t> stragglers(pid_t group, std::string_view marker) const;

 private:
  std::map<pid_t, OnExit> watched_;
  std::uint64_t orphans_ = 0;
};

// A short shell command on the side: hooks, --check, exec conditions. Killed with its group when
// its time is over.
class HelperProcess {
 public:
  using Done = std::function<void(const ExitStatus&, const std::string& output)>;
  HelperProcess(EventLoop& loop, Children& children, Sink& sink);
  ~HelperProcess();
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

  Result<> start(const std::string& command, const std::vector<std::string>& env,
                 const std::string& cwd, TimeNs limit, Done done);
  [[nodiscard]] bool running() const { return pid_ > 0; }

 private:
  void kill();

  EventLoop& loop_;
  Children& children_;
  OutputPipe output_;
  Timer timer_;
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  Done done_;
};

}  // namespace godwit::supervise
