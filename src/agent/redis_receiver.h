// Receives from the lists that Kadabra clients push to. A message is moved to a private list, from
// there into the spool, and only then removed: nothing is lost by a kill -9, and what is found in
// the private list afterwards is compared byte for byte with the log. One thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>

#include "agent/inlet.h"
#include "agent/log.h"
#include "agent/redis_client.h"
#include "godwit/metrics/metrics.h"

namespace godwit::agent {

struct RedisReceiverStats {
  bool up = false;
  std::string last_error;
  std::uint64_t messages = 0;
  std::uint64_t malformed = 0;
  std::uint64_t recovered = 0;       // found in the private list after a restart
  std::uint64_t duplicates = 0;      // of those, already in the log
  std::uint64_t reclaimed = 0;       // moved back from lists of dead agents
  std::uint64_t legacy_taken = 0;    // from the old shared in-progress list
  std::uint64_t lost_suspected = 0;  // messages a restarted Redis no longer has
  std::uint64_t restarts_seen = 0;
  std::uint64_t reconnects = 0;
};

struct RedisReceiverOptions {
  RedisAddress address;
  std::string agent_id;
  std::string queue_key;
  std::string inprogress_key;
  std::size_t batch = 512;
  std::chrono::nanoseconds nanny_frequency{};
  std::chrono::nanoseconds nanny_threshold{};
  std::size_t nanny_limit = 5000;
};

class RedisReceiver {
 public:
  // Before log.start(): looks at the ends of lanes that may be removed after it.
  RedisReceiver(Log& log, Inlet& inlet, RedisReceiverOptions options);
  ~RedisReceiver();

  void start();
  // Ends waiting at once; what has been taken is finished first.
  void stop();
  [[nodiscard]] RedisReceiverStats stats() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  void main();
  Result<> session();
  Result<> recoverOwn();
  Result<> receiveBatch(bool wait);
  Result<> spoolAndRemove(std::vector<RedisReply>& messages);
  Result<> removeTail(std::size_t count);
  Result<> heartbeat();
  Result<> nanny();
  Result<> reclaimDead();
  Result<> takeLegacy();
  Result<> noticeRestart();
  bool append(std::string_view message);
  std::unordered_set<std::string> tailOfLog() const;

  // Set once
  Log& log_;
  Inlet& inlet_;
  RedisReceiverOptions options_;
  std::string private_key_;
  std::string heartbeat_key_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  // Receiver thread
  RedisClient redis_;
  std::unordered_set<std::string> former_tail_;  // what the log ended with at the start
  metrics::Metrics scratch_;
  std::string run_id_;
  std::size_t window_ = 16;        // moves in one pipeline: grows while the queue fills them
  std::uint64_t last_length_ = 0;  // of the queue, when last seen
  SteadyTime next_heartbeat_{};
  SteadyTime next_nanny_{};
  SteadyTime next_length_{};
  // Seen in the old list: how often at once, and since when.
  struct Sighting {
    SteadyTime first;
    bool current;
  };
  std::map<std::string, Sighting> legacy_;

  mutable std::mutex mu_;
  std::condition_variable wake_;
  RedisReceiverStats stats_;  // guarded by mu_
  int fd_ = -1;               // guarded by mu_; of the open connection
};

}  // namespace godwit::agent
