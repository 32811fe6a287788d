// The whole program while it runs: signals, services, the control socket, the outer manager.
#pragma once

#include <sys/signalfd.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "supervise/control.h"
#include "supervise/manager.h"
#include "supervise/options.h"
#include "supervise/pidfile.h"
#include "supervise/service.h"

namespace godwit::supervise {

class Instance final : private ServiceListener {
 public:
  // `args` is the command line without argv[0], read again at each reload.
  Instance(Settings settings, std::vector<std::string> args);
  ~Instance() override;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  int run();  // returns the exit code

 private:
  struct Waiter {
    Control::ClientId client = 0;
    std::map<std::string, int> open;  // attempt by service
    std::set<std::string> superseded;
    int code = 0;
    std::string results;  // JSON objects, comma separated
  };

  // instance.cc
  Result<> start();
  Result<> openServices();
  Result<> openControl();
  void loopUntilEnded();
  void afterTurn();
  void beginWaiting();
  void stopNext();
  void tellManager();
  void storeSockets();
  void writeMetricsFile();
  [[nodiscard]] std::string metricsText() const;
  [[nodiscard]] int exitCodeFor(const Error& e) const;
  Service* find(std::string_view name);
  void configureLog() const;

  // instance_signals.cc
  Result<> openSignals();
  void onSignals();
  void onSignal(const signalfd_siginfo& info);
  void run(const SignalEffect& effect, int signal);
  void stop(int signal);
  void killAll();
  void dump();

  // instance_reload.cc
  struct Started {
    std::map<std::string, int> attempts;
    std::string refused;  // why nothing or not everything was started
  };
  Started reload(const std::string& service, bool now);
  std::string readSettingsAgain(const std::string& service);
  void wait(Control::ClientId client, const std::map<std::string, int>& attempts);
  void settle(Waiter& w, Service& service, const AttemptResult& result);
  void answer(Waiter& w);

  // instance_commands.cc
  void onRequest(Control::ClientId client, const JsonValue& request);
  void fail(Control::ClientId client, int code, const std::string& why);
  void succeed(Control::ClientId client, const std::string& text = "");
  void writeStatus(JsonWriter& out) const;

  // instance_upgrade.cc
  std::string upgrade();  // "" or why not
  void checkNewBinary();
  void execute();
  Result<> resume(int fd);
  [[nodiscard]] std::string saveState() const;

  // ServiceListener
  ServiceListener& news() { return *this; }
  void onAttempt(Service& service, const AttemptResult& result) override;
  void onChange(Service& service) override;
  void onEvent(Service& service, const std::string& json) override;
  void onEnded(Service& service, int exit_code) override;

  // Set once.
  Settings settings_;
  std::vector<std::string> args_;
  std::string executable_;
  std::string cwd_;

  EventLoop loop_;
  Children children_;
  std::unique_ptr<Sink> out_;
  std::unique_ptr<Sink> err_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Service>> services_;
  Manager manager_;
  Timer manager_retry_;
  Timer kill_timer_;  // the end of patience that a stop was given
  std::unique_ptr<Control> control_;
  LockFile pidfile_;
  LockFile control_lock_;
  std::string runtime_dir_;
  UniqueFd signal_fd_;
  std::unique_ptr<Timer> watchdog_;
  std::vector<Waiter> waiters_;
  std::set<Control::ClientId> subscribers_;
  std::deque<std::pair<std::string, AttemptResult>> recent_;  // at most kRecent
  bool changed_ = true;
  bool stopping_ = false;
  int stop_signal_ = 0;
  TimeNs interrupted_at_ = 0;
  int exit_code_ = 0;
  bool was_idle_ = false;
  // Upgrade
  bool upgrade_wanted_ = false;
  pid_t self_check_ = 0;
  std::vector<Control::ClientId> upgrade_clients_;
};

// `godwit-run --self-check FD`: 0 when this binary understands the state in it.
int selfCheck(int fd);

}  // namespace godwit::supervise
