// A small Redis look-alike: clients that LPUSH metrics to a list need no Redis. LPUSH answers after
// the append to the spool. To everybody who reads, the list is empty: what was pushed is the
// agent's own to publish. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/config.h"
#include "agent/inlet.h"
#include "agent/loop.h"
#include "agent/resp_parser.h"
#include "agent/sockets.h"

namespace godwit::agent {

struct RespStats {
  std::uint64_t messages = 0;
  std::uint64_t malformed = 0;  // kept all the same: the publishers quarantine them
  std::uint64_t refused = 0;    // answered with an error, because the spool could not take them
  std::uint64_t commands = 0;
  std::uint64_t connections = 0;
};

class RespServer {
 public:
  RespServer(Loop& loop, Inlet& inlet) : loop_(loop), inlet_(inlet) {}
  ~RespServer();

  Result<> open(const Section& settings, InheritedSockets& inherited);
  void stopAccepting();
  void close();
  [[nodiscard]] const RespStats& stats() const { return stats_; }
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  struct Connection {
    UniqueFd fd;
    RespParser parser;
    std::string in;
    std::string out;
    std::size_t needed = 0;
    bool authenticated = false;
    bool in_multi = false;
    bool multi_failed = false;
    std::vector<std::vector<std::string>> queued;
    std::size_t queued_bytes = 0;
    std::string name;
    bool closing = false;
  };
  using Args = std::vector<std::string_view>;

  Result<> listen(const std::string& address, InheritedSockets& inherited);
  void accept(int listener);
  void onEvent(int fd, std::uint32_t events);
  void serve(Connection& c);
  bool flush(Connection& c);
  void drop(int fd);
  void command(Connection& c, const Args& args);
  void execute(Connection& c, const Args& args, std::string& out);
  void push(const Args& args, std::string& out);

  Loop& loop_;
  Inlet& inlet_;
  RespStats stats_;
  std::string queue_key_;
  std::string password_;
  std::size_t max_connections_ = 1024;
  struct Listener {
    UniqueFd fd;
    bool inherited;
    std::string path;
  };
  std::vector<Listener> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

}  // namespace godwit::agent
