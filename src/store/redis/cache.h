#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "store/backend.h"
#include "store/redis/link.h"

namespace godwit::store::redis {

// The cache on a Redis server (2.6 or newer), one connection per event loop. Answers within
// kCacheDeadline. A key without expiry does not exist here, so Redis may be shared.
class RedisCache final : public Cache {
 public:
  static constexpr auto kCacheDeadline = std::chrono::seconds(5);

  explicit RedisCache(Options options);
  ~RedisCache() override;

  void get(Reactor& home, std::string_view key, Got done) override;
  void set(Reactor& home, std::string_view key, std::string value, std::chrono::milliseconds ttl,
           Did done) override;
  void expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
              Did done) override;
  void take(Reactor& home, std::string_view key, Got done) override;
  // With a prefix only its keys, in steps; without one the whole database.
  void flush(Reactor& home, Did done) override;
  void ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) override;
  void stop(Deadline deadline) override;

 private:
  Link* link(Reactor& home);  // nullptr once stopped
  void send(Reactor& home, std::vector<std::string> argv, Deadline deadline, Link::Replied done);
  void flushStep(Reactor& home, std::string cursor, bool any, Did done);
  [[nodiscard]] std::string keyOf(std::string_view key) const;

  const Options options_;
  const std::shared_ptr<postgresql::Resolver> resolver_;
  std::mutex mu_;
  std::unordered_map<Reactor*, std::unique_ptr<Link>> links_;  // guarded by mu_
  bool stopped_ = false;                                       // guarded by mu_
};

}  // namespace godwit::store::redis
