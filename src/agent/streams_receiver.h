// Receives frames of other machines from a Redis stream (protocol v2). Every entry names its lane
// and its range of sequence numbers, so that what comes twice is recognised; how far each lane has
// been taken is published, so that senders can fill the gap that a Redis without persistence leaves
// when it restarts. One thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/inlet.h"
#include "agent/redis_client.h"
#include "agent/streams_format.h"

namespace godwit::agent {

struct StreamsStats {
  bool up = false;
  std::string last_error;
  std::uint64_t entries = 0;
  std::uint64_t frames = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t malformed = 0;
  std::uint64_t claimed = 0;  // of consumers that had died
  std::uint64_t gone = 0;     // pending entries that were trimmed before anybody read them
  std::uint64_t dead = 0;     // delivered too often, moved to godwit:dead
};

struct StreamsOptions {
  RedisAddress address;
  std::string agent_id;
  std::string stream;
  std::string group;
  std::chrono::nanoseconds claim_after{};
  std::int64_t max_deliveries = 5;
};

inline constexpr std::string_view kStreamAcked = "godwit:acked";

class StreamsReceiver {
 public:
  StreamsReceiver(Inlet& inlet, StreamsOptions options);
  ~StreamsReceiver();
  void start();
  void stop();
  [[nodiscard]] StreamsStats stats() const;

 private:
  struct Entry {
    std::string id, lane, bytes;
    std::uint64_t base = 0, first = 0, last = 0;
    bool sound = false;
    bool gone = false;
  };

  void main();
  Result<> session();
  Result<> read(std::string_view from, bool block, std::size_t& got);
  Result<> claim();
  Result<> process(std::vector<Entry>& entries);
  Result<> spool(const Entry& entry);
  Result<> acknowledge(const Entry& entry);
  Result<> bury(const Entry& entry);
  Result<> trim();
  static std::vector<Entry> parseEntries(const redisReply* list);

  // Set once
  Inlet& inlet_;
  StreamsOptions options_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  // Receiver thread
  RedisClient redis_;
  std::map<std::string, SeenFrames> seen_;
  std::set<std::string> asked_;  // lanes whose mark was read in this session
  std::chrono::steady_clock::time_point next_claim_{};

  mutable std::mutex mu_;
  std::condition_variable wake_;
  StreamsStats stats_;  // guarded by mu_
  int fd_ = -1;         // guarded by mu_
};

}  // namespace godwit::agent
