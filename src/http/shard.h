#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "godwit/deadline.h"
#include "http/connection.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/response_writer.h"
#include "net/listener.h"
#include "net/loop.h"

namespace godwit::http {

// One loop's share of a server: its connections, pools and counters. Loop thread only but for the
// counters.
class Shard {
 public:
  static constexpr std::size_t kReadSize = 64 * 1024;
  using Exchange = detail::Exchange;

  Shard(Engine& engine, net::Loop& loop, std::vector<Shard*>& peers);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Starts accepting from `listeners`, which stay the server's.
  void start(std::vector<net::Listener>& listeners);
  // Accepts what has already connected, then stops; finishes what is there. `deadline` cuts off.
  void drain(Deadline deadline);
  // Cuts off everything.
  void abort();
  void resumeAccepting();
  // Takes over an accepted socket.
  void adopt(UniqueFd fd, std::string remote, bool tls, std::uint32_t listener);

  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] Engine& engine() { return engine_; }
  [[nodiscard]] ShardCounters& counters() { return counters_; }
  [[nodiscard]] const ShardCounters& counters() const { return counters_; }
  [[nodiscard]] ResponseWriter& writer() { return writer_; }
  [[nodiscard]] char* readBuffer() { return read_buffer_.get(); }
  [[nodiscard]] std::string& scratch() { return scratch_; }
  [[nodiscard]] std::int64_t nowMs() const { return loop_.nowMs(); }
  [[nodiscard]] bool draining() const { return drain_ms_ != 0; }
  [[nodiscard]] std::int64_t drainMs() const { return drain_ms_; }

  [[nodiscard]] bool has(std::uint64_t connection) const;
  Exchange* take();
  void release(Exchange* e);
  std::string_view makeId(Exchange* e);
  // Runs the connection's endTurn at the end of this loop turn.
  void touch(Connection& c);
  void closed(Connection& c);
  void answered(Exchange* e);
  void dropped(Exchange* e);
  // Ends the turn: for callers outside the loop's own callbacks.
  void turnEnd();

 private:
  struct Door;

  void acceptFrom(Door& door, int budget);
  void pauseAccepting(bool out_of_descriptors);
  void finishDoors();
  void checkEmpty();

  Engine& engine_;
  net::Loop& loop_;
  std::vector<Shard*>& peers_;
  ResponseWriter writer_;
  std::unique_ptr<char[]> read_buffer_;
  std::string scratch_;
  ShardCounters counters_;

  std::vector<std::unique_ptr<Door>> doors_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::vector<Connection*> dirty_, dirty_now_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  Exchange* free_ = nullptr;
  std::uint64_t next_connection_ = 1;
  std::uint64_t next_request_ = 0;
  char id_prefix_[12] = {};
  std::unique_ptr<Reactor::Handle> retry_, doors_timer_, drain_timer_;
  std::int64_t drain_ms_ = 0;
  bool doors_open_ = false;
  bool accept_paused_ = false;
  bool empty_reported_ = false;
  bool aborting_ = false;
};

}  // namespace godwit::http
