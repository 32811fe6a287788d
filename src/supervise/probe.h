#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "supervise/http_probe.h"
#include "supervise/listener.h"
#include "supervise/loop.h"

namespace godwit::supervise {

// One connection to a server, to learn whether it is well. It ends by one call of `done`, at the
// latest when the deadline passes; destroying it earlier cancels.
class Probe {
 public:
  enum class Kind : unsigned char { kConnect, kHttp, kTls };
  using Done = std::function<void(bool good, const std::string& why)>;

  // `path` for kHttp. kConnect is good as soon as the connection stands. `deadline` may be kNever
  // when something else bounds the wait.
  Probe(EventLoop& loop, const ProbeTarget& target, Kind kind, std::string path, TimeNs deadline,
        Done done);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Begins; may call `done` before it returns.
  void start();

 private:
  void onEvent(std::uint32_t events);
  void send();
  void receive();
  void finish(bool good, std::string why);
  void closeSocket();

  EventLoop& loop_;
  ProbeTarget target_;
  Kind kind_;
  std::string path_;
  TimeNs deadline_;
  Done done_;
  UniqueFd fd_;
  std::unique_ptr<Timer> timer_;
  std::string unsent_;
  std::string received_;
  ProbeResponse response_;
  bool connected_ = false;
};

}  // namespace godwit::supervise
