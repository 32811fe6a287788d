// A small Redis look-alike: clients that LPUSH metrics to a list need no Redis. LPUSH answers after
// the append to the spool. To everybody who reads, the list is empty: what was pushed is the
// agent's own to publish. Loop thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "agent/inlet.h"
#include "agent/stream_listener.h"

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
  RespServer(Loop& loop, Inlet& inlet) : streams_(loop), inlet_(inlet) {}

  Result<> open(const Section& settings, InheritedSockets& inherited);
  void stopAccepting() { streams_.stopAccepting(); }
  void close() { streams_.close(); }
  [[nodiscard]] RespStats stats() const;
  [[nodiscard]] std::size_t connections() const { return streams_.connections(); }

 private:
  class Connection;
  using Args = std::vector<std::string_view>;
  void push(const Args& args, std::string& out);

  StreamListener streams_;
  Inlet& inlet_;
  RespStats stats_;
  std::string queue_key_;
  std::string password_;
};

}  // namespace godwit::agent
