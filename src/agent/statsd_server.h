// StatsD sockets: datagrams are appended to the log as they come, before anybody parses them. What
// the kernel drops, cuts short or the spool cannot take is counted. Loop thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/config.h"
#include "agent/inlet.h"
#include "agent/loop.h"
#include "agent/stream_listener.h"

namespace godwit::agent {

struct StatsdServerStats {
  std::uint64_t packets = 0;
  std::uint64_t lines = 0;
  std::uint64_t kernel_drops = 0;  // SO_RXQ_OVFL
  std::uint64_t truncated = 0;     // MSG_TRUNC: the rest of the datagram is lost
  std::uint64_t refused = 0;       // the spool could not take it
  std::uint64_t connections = 0;
  std::uint64_t receive_buffer = 0;  // what the kernel granted, smallest of the sockets
};

class StatsdServer {
 public:
  StatsdServer(Loop& loop, Inlet& inlet);
  ~StatsdServer();

  Result<> open(const Section& settings, InheritedSockets& inherited);
  // Reads what the kernel holds (bounded), then closes. Inherited sockets are left alone: what they
  // hold waits for the next process.
  void close();
  [[nodiscard]] StatsdServerStats stats() const;
  // Appends a tick, so that a window can end without traffic.
  void tick();

 private:
  struct Datagram;  // a socket and its receive slots
  class Stream;

  Result<> openDatagram(const std::string& address, Source source, const Section& settings,
                        InheritedSockets& inherited);
  Result<> openStream(const std::string& address, Source source, bool framed,
                      InheritedSockets& inherited);
  bool readDatagrams(Datagram& socket);
  void take(std::string_view datagram, Source source, const std::string& container);
  std::string containerOf(int pid);

  Loop& loop_;
  Inlet& inlet_;
  StatsdServerStats stats_;
  bool origin_ = false;
  std::vector<std::unique_ptr<Datagram>> datagrams_;
  StreamListener streams_;
  std::unordered_map<int, std::pair<std::string, std::int64_t>> containers_;  // by pid
  std::string rewritten_;
};

}  // namespace godwit::agent
