#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace godwit::test {

// A TCP forwarder that misbehaves on demand, between a client and a server on this machine.
class Gate {
 public:
  enum class Mode : int {
    kOpen,    // forwards
    kStall,   // keeps connections and accepts new ones, but passes nothing on
    kRefuse,  // resets what is open and everything that comes
  };
  explicit Gate(int target_port);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  [[nodiscard]] int port() const { return port_; }
  void set(Mode mode) { mode_ = static_cast<int>(mode); }
  // Resets every connection; new ones are served as the mode says.
  void reset() { ++resets_; }
  // Adds this to what is forwarded, per chunk and direction.
  void delayMs(int ms) { delay_ms_ = ms; }
  // Resets the connection that next sends these bytes to the server: before or after passing them
  // on, the answer being lost either way.
  void cutOn(const std::string& bytes, bool pass);
  [[nodiscard]] int cuts() const { return cuts_; }

 private:
  struct Link;
  void run();
  void forward(Link& link, int from, int to, bool to_server);
  static void abort(Link& link);

  const int target_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> mode_{0};
  std::atomic<int> resets_{0};
  std::atomic<int> delay_ms_{0};
  std::atomic<int> cuts_{0};
  std::atomic<bool> stop_{false};
  std::mutex mu_;
  std::string cut_on_;  // guarded by mu_
  bool cut_pass_ = false;
  std::thread thread_;
};

}  // namespace godwit::test
