#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervise/children.h"
#include "supervise/notify_socket.h"
#include "supervise/probe.h"
#include "supervise/ready_spec.h"

namespace godwit::supervise {

// Watches one generation until all its --ready conditions hold, then calls `on_ready` once.
class Readiness {
 public:
  struct Setup {
    std::vector<ReadySpec> conditions;
    TimeNs warmup = kSecond;
    // How probes reach this generation alone; none when no condition needs it.
    std::optional<ProbeTarget> probe;
    std::function<bool()> queue_empty;  // of the listener the probe goes to
    std::vector<std::string> helper_env;
    std::string cwd;
    int gen = 0;
    std::string name;  // of the service, for the log
  };

  Readiness(EventLoop& loop, Children& children, Sink& sink, Setup setup,
            std::function<void()> on_ready);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // Readers of the `fd` conditions, in their order; the writing ends are the child's.
  std::vector<UniqueFd> takeFdWriters();
  Result<> openFds();

  // Conditions that run commands tell them whom they ask about.
  void setChild(pid_t pid) { setup_.helper_env.push_back("CHILD_PID=" + std::to_string(pid)); }
  void start();    // right after the fork: probes queue up
  void running();  // exec has worked: clocks begin
  void onNotify(const NotifySocket::Message& message);
  [[nodiscard]] bool wantsNotify() const;
  // The last thing that kept it from being ready, for the failure report.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }

 private:
  struct Condition {
    ReadySpec spec;
    bool met = false;
    std::unique_ptr<Probe> probe;
    std::unique_ptr<Timer> timer;
    std::unique_ptr<HelperProcess> helper;
    UniqueFd reader;
    UniqueFd writer;
  };
  void meet(Condition& c);
  void probe(Condition& c);
  void dial(Condition& c);
  void runHelper(Condition& c);
  void waitForAccept(Condition& c);
  void retry(Condition& c, TimeNs delay, std::function<void()> again);

  EventLoop& loop_;
  Children& children_;
  Sink& sink_;
  Setup setup_;
  std::function<void()> on_ready_;
  std::vector<std::unique_ptr<Condition>> conditions_;
  bool notify_only_ = false;  // auto: the child has shown that it speaks the protocol
  bool running_ = false;
  std::string obstacle_;
};

}  // namespace godwit::supervise
