#pragma once

#include <deque>
#include <map>
#include <set>
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
  // Brings the descriptor store in line with `sockets` and tells it, in a file of memory stored
  // with them, which slot of each service has the public (InheritedFds::active).
  void store(const std::vector<Listener::Stored>& sockets,
             const std::map<std::string, int>& active);
  [[nodiscard]] int noteFd() const { return note_.get(); }  // for a re-exec
  void adoptNote(int fd);
  // Every half of this, alive() is due; 0 = no watchdog.
  [[nodiscard]] TimeNs watchdogPeriod() const { return watchdog_; }
  [[nodiscard]] bool present() const { return !address_.empty(); }
  [[nodiscard]] bool isReady() const { return ready_; }
  // A manager that is slow to read (its queue holds ten messages) gets the rest later: call flush()
  // again soon while behind(). At most kMaxUnsent wait; what comes then is dropped.
  void flush();
  [[nodiscard]] bool behind() const { return !unsent_.empty(); }
  void setReady() { ready_ = true; }  // after a re-exec

 private:
  struct Message {
    std::string text;
    UniqueFd fd;
  };
  void send(std::string text, int fd = -1);
  [[nodiscard]] bool trySend(std::string_view text, int fd) const;

  static constexpr std::size_t kMaxUnsent = 256;

  std::string address_;
  std::deque<Message> unsent_;
  TimeNs watchdog_ = 0;
  int notify_fd_ = -1;
  bool store_ = false;
  std::set<std::string> stored_;
  UniqueFd note_;
  std::string noted_;
  bool ready_ = false;
  bool reloading_ = false;
  std::string last_status_;
};

// The descriptors passed to this process by sd_listen_fds(3)'s protocol.
InheritedFds inheritedFds();

}  // namespace godwit::supervise
