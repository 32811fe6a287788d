#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supervise/listener.h"
#include "supervise/units.h"

namespace godwit::supervise {

// What the outer service manager wants to hear: sd_notify(3) with RELOADING, the watchdog, the
// descriptor store, and a newline for s6. Says nothing when nobody listens.
class Manager {
 public:
  // Reads $NOTIFY_SOCKET, $WATCHDOG_USEC, $WATCHDOG_PID, $FDSTORE.
  Manager(int notify_fd, bool fdstore);

  void ready();      // first time: READY=1 and the newline
  void reloading();  // begin of a reload
  void reloaded();   // its end, good or bad
  void stopping();
  void status(const std::string& text);
  void extend(TimeNs span);
  void alive();  // WATCHDOG=1
  void store(const std::vector<Listener::Stored>& sockets);
  // Every half of this, alive() is due; 0 = no watchdog.
  [[nodiscard]] TimeNs watchdogPeriod() const { return watchdog_; }
  [[nodiscard]] bool present() const { return !address_.empty(); }
  [[nodiscard]] bool isReady() const { return ready_; }
  void setReady() { ready_ = true; }  // after a re-exec

 private:
  void send(std::string_view text, int fd = -1) const;

  std::string address_;
  TimeNs watchdog_ = 0;
  int notify_fd_ = -1;
  bool store_ = false;
  bool ready_ = false;
  bool reloading_ = false;
  std::string last_status_;
};

// The descriptors passed to this process by sd_listen_fds(3)'s protocol.
InheritedFds inheritedFds();

}  // namespace godwit::supervise
