// One service: the policy machine joined to processes and sockets.
#pragma once

#include <sys/types.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "supervise/children.h"
#include "supervise/listener.h"
#include "supervise/machine.h"
#include "supervise/metrics.h"
#include "supervise/notify_socket.h"
#include "supervise/options.h"
#include "supervise/output.h"
#include "supervise/path_watch.h"
#include "supervise/readiness.h"
#include "supervise/release.h"
#include "supervise/spawn.h"

namespace godwit::supervise {

// What services share. Outlives them.
struct Shared {
  EventLoop& loop;
  Children& children;
  Sink& own_out;
  Sink& own_err;
  Environment inherited;
  std::string logical_cwd;
  std::string runtime_dir;
  InheritedFds inherited_fds;
};

class Service;
// News for the instance. Not called back into from inside; it must not destroy the service.
class ServiceListener {
 public:
  virtual ~ServiceListener() = default;
  virtual void onAttempt(Service& service, const AttemptResult& result) = 0;
  virtual void onChange(Service& service) = 0;  // some state is another one now
  virtual void onEvent(Service& service, const std::string& json) = 0;
  virtual void onEnded(Service& service, int exit_code) = 0;
};

class Service final : private World {
 public:
  Service(Shared& shared, ServiceListener& listener, ServiceOptions options);
  ~Service() override;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Sockets, notify socket. Error code kConflict: another instance is there.
  Result<> open();
  void begin() { machine_.begin(monotonicNow()); }
  // After each turn of the loop.
  void step(TimeNs now);
  [[nodiscard]] TimeNs nextDeadline() const { return machine_.nextDeadline(); }

  // A child of this process has died, maybe one left behind by a generation.
  void childrenChanged() { dirty_ = true; }
  // New options at a reload; "" or why not (then nothing is changed).
  std::string reconfigure(const ServiceOptions& wanted);
  Machine& machine() { return machine_; }
  [[nodiscard]] const Machine& machine() const { return machine_; }
  [[nodiscard]] const ServiceOptions& options() const { return options_; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  // One generation ago was it ready for the first time; services after it may start.
  [[nodiscard]] bool wasReady() const { return was_ready_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool healthy() const;  // an active generation, and liveness is good
  [[nodiscard]] int activePid() const;

  void stop(int signal);
  bool forward(int signal, int gen);  // 0: the active one
  void forwardAll(int signal);
  bool pause(bool on);
  void reopenLogs();

  void writeStatus(JsonWriter& out) const;
  [[nodiscard]] std::string summary() const;  // "gen 7 active, gen 8 starting"
  [[nodiscard]] std::string stderrOf(int gen) const;
  [[nodiscard]] std::string environmentNames() const;  // of the active generation, one a line
  [[nodiscard]] std::string failureText(const AttemptResult& result) const;
  void writeMetrics(MetricsText& out) const;
  [[nodiscard]] std::vector<Listener::Stored> storable() const;
  // Which slot new connections go to; 0 when the service has none.
  [[nodiscard]] int activeSlot() const;

  void save(JsonWriter& out) const;
  Result<> restore(const JsonValue& in);
  // Before exec: nothing may be lost that only the old program's memory holds.
  void flushOutput();

 private:
  struct Running {
    int id = 0;
    int slot = 0;
    pid_t pid = 0;
    UniqueFd pidfd;
    UniqueFd exec_result;
    std::shared_ptr<const ReleaseSpec> release;  // also held as last good
    std::unique_ptr<Readiness> readiness;
    std::unique_ptr<OutputPipe> out;
    std::unique_ptr<OutputPipe> err;
    UniqueFd probe_listener;  // shared mode: reaches this generation only
    std::string probe_path;
    std::string status;  // STATUS= of the child
    std::string command;
    bool leader_gone = false;
    bool exec_done = false;
    bool paused = false;
    bool readiness_over = false;
    TimeNs kill_stragglers_at = kNever;
    TimeNs started = 0;
    std::uint64_t rss = 0;
  };
  struct Failure {
    int gen = 0;
    Reason reason;
    int code = -1;
    TimeNs after = 0;
    std::string stderr_tail;
  };
  struct Retired {
    Listener* listener = nullptr;
    int slot = 0;
    int fd = -1;
    std::unique_ptr<Timer> timer;
  };

  // World
  std::optional<Reason> spawn(int gen, int slot, Release release) override;
  void signal(int gen, int signal, bool group) override;
  bool route(const Routing& routing) override;
  bool queueEmpty(int gen) override;
  Verdict soakVerdict(int gen) override;
  bool startCheck(int attempt) override;
  void cancelCheck() override;
  double jitter() override;
  void onPromoted(int gen, int old_gen) override;
  void onFailed(int gen, const Reason& reason) override;
  void onCrashed(int gen, const ExitStatus& status) override;
  void onState(int gen) override;
  void onGood(int gen) override;
  void onAttempt(const AttemptResult& result) override;
  void onRestartDelay(TimeNs delay) override;
  void onEnded(int exit_code) override;

  // service_spawn.cc
  Result<> planSockets(Running& r, SpawnPlan& plan);
  Result<> openProbeListener(Running& r, SpawnPlan& plan);
  void planEnvironment(const Running& r, SpawnPlan& plan);
  Result<> planOutput(Running& r, SpawnPlan& plan, std::vector<UniqueFd>& ends);
  Result<> planIdentity(const ReleaseSpec& release, SpawnPlan& plan) const;
  Result<> prepareReadiness(Running& r, SpawnPlan& plan, std::vector<UniqueFd>& ends);
  void watchProcess(Running& r);
  void onExecResult(int gen);
  [[nodiscard]] std::string expand(const Running& r, std::string_view text) const;
  [[nodiscard]] std::vector<std::string> helperEnvironment(const Running* r) const;
  [[nodiscard]] std::string marker(int gen) const;

  // service_process.cc
  void leaderExited(int gen, const ExitStatus& status);
  void sweep(TimeNs now);
  void allGone(int gen);
  void retireSlots(int slot);
  void dropRetired(int slot);
  void closeSockets();
  void fitSlots();
  void onNotify(pid_t sender, const NotifySocket::Message& message);
  void onReady(int gen);

  // service_health.cc
  void healthFollows();
  void probeLive();
  void probeSoak();
  [[nodiscard]] std::optional<ProbeTarget> targetOf(const Running& r, bool live) const;
  void checkRss();
  void armAge();
  void recycle(const char* why);
  void runHooks(std::string_view event, int gen, int old_gen, const std::string& reason);

  [[nodiscard]] Running* find(int gen);
  [[nodiscard]] const Running* find(int gen) const;
  [[nodiscard]] const Listener* probeListener() const;
  [[nodiscard]] bool needsPrivateProbe() const;
  void writePidfile(pid_t pid);
  void emit(std::string_view event, int gen, const std::string& text);

  Shared& shared_;
  ServiceListener& listener_;
  ServiceOptions options_;
  Machine machine_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  NotifySocket notify_;
  std::unique_ptr<Sink> log_;
  std::map<int, std::unique_ptr<Running>> running_;
  std::vector<std::unique_ptr<Retired>> retired_;
  std::shared_ptr<const ReleaseSpec> last_good_;
  std::unique_ptr<HelperProcess> check_;
  int checking_ = 0;
  Timer check_failed_;
  Reason check_reason_;
  std::vector<std::unique_ptr<HelperProcess>> hooks_;
  std::deque<Failure> failures_;  // the newest first, at most kFailures
  std::unique_ptr<PathWatch> watch_;
  Timer sweep_timer_;
  // Liveness of the active generation, and the probe of a soaking one.
  Timer live_timer_;
  std::unique_ptr<Probe> live_probe_;
  int live_gen_ = 0;
  int live_failures_ = 0;
  Timer watchdog_timer_;  // armed by what the active generation says
  Timer soak_timer_;
  std::unique_ptr<Probe> soak_probe_;
  int soak_gen_ = 0;
  Verdict soak_verdict_ = Verdict::kGood;
  std::string soak_why_;
  bool soak_reported_ = false;
  Timer rss_timer_;
  Timer age_timer_;
  int aged_gen_ = 0;
  Routing routing_;
  ServiceMetrics metrics_;
  std::int64_t active_since_ = 0;  // wall clock, seconds
  bool was_ready_ = false;
  bool ended_ = false;
  bool dirty_ = false;  // a child has died: look for stragglers
  bool closed_ = false;
};

}  // namespace godwit::supervise
