#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "godwit/http/server.h"
#include "http/head.h"
#include "net/tls.h"

namespace godwit::http {

// What all loops of a server share. Set before they start, then constant; counters any thread.
struct Engine {
  Server::Options options;
  HeadLimits head_limits;
  Handler handler;
  std::function<void(const AccessRecord&)> on_access;
  std::function<void(int, Response&)> on_protocol_error;
  std::function<BodyPolicy(const Request&)> on_head;
  std::shared_ptr<net::TlsContext> tls;
  RequestMetrics* metrics = nullptr;
  bool measure_all = true;
  std::function<void(std::uint64_t, std::string_view)> on_connect;
  std::function<void(std::uint64_t)> on_disconnect;

  // Called by a shard, on its loop, when its last connection has gone during a drain.
  std::function<void()> on_shard_empty;
  // And when one more came to it after all, handed over by a loop that did not know yet.
  std::function<void()> on_shard_busy;
  // Called when a connection closes while accepting is paused for max_connections.
  std::function<void()> on_room;

  std::atomic<std::size_t> connections{0};
  std::atomic<bool> accept_paused{false};
  std::atomic<bool> draining{false};

  // True when requests are timed and reported once sent.
  [[nodiscard]] bool reports() const { return on_access || metrics; }
  // Fills `r` with the default answer for an error the server itself detected.
  void protocolError(int status, const char* why, Response& r) const;
};

// A counter with one writer, its loop; read from any thread.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    v_.store(v_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::uint64_t n = 1) {
    v_.store(v_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const { return v_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> v_{0};
};

struct ShardCounters {
  Counter open, accepted, refused, requests, responses, bad, timeouts, bytes_in, bytes_out, pending;
  std::atomic<std::uint64_t> assigned{0};         // open or on their way here; any loop
  Counter finished, late, aborted, drain_closed;  // since drain began
};

}  // namespace godwit::http
