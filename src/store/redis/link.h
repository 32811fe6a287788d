#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/reactor.h"
#include "base/unique_fd.h"
#include "store/postgresql/resolver.h"
#include "store/redis/options.h"

struct redisAsyncContext;
struct redisReply;

namespace godwit::store::redis {

// One connection to Redis on one event loop, reconnecting by itself with jittered back-off. Loop
// thread only, construction included.
class Link {
 public:
  static constexpr std::size_t kMaxPending = 4096;
  static constexpr auto kRideThrough = std::chrono::seconds(2);

  // The reply lives until the callback returns; nullptr with the reason when there is none.
  using Replied = std::function<void(const redisReply*, const Error*)>;

  Link(Reactor& loop, const Options& options, std::shared_ptr<postgresql::Resolver> resolver);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Sends a command, now or once connected. `done` is called once, never from inside: with the
  // answer, or with kUnavailable or kTimeout. What was sent and lost is not sent again.
  void send(std::vector<std::string> argv, Deadline deadline, Replied done);

 private:
  struct Call {
    std::vector<std::string> argv;
    Deadline deadline = Deadline::never();
    Replied done;
    bool finished = false;
  };
  using CallPtr = std::shared_ptr<Call>;
  using Time = Deadline::Clock::time_point;
  friend struct Hooks;

  void open();
  void connectTo(const std::string& address);
  void onConnected(int status);
  void onGone(const char* why);
  void onEvent(unsigned events);
  void issue(const CallPtr& call);
  void finish(const CallPtr& call, const redisReply* reply, const Error* error);
  void sendQueued();
  void sweep();
  void arm();
  void retryLater(std::string why);
  void abandon();
  void want(unsigned event, bool on);
  [[nodiscard]] bool refusing() const;

  // Set once
  Reactor& loop_;
  const Options options_;
  const std::shared_ptr<postgresql::Resolver> resolver_;
  const std::shared_ptr<bool> alive_;

  redisAsyncContext* context_ = nullptr;
  UniqueFd watched_fd_;  // a duplicate: hiredis closes its own
  std::unique_ptr<Reactor::FdWatch> watch_;
  unsigned wanted_ = 0;
  bool ready_ = false;
  bool opening_ = false;
  bool login_failed_ = false;
  std::deque<CallPtr> queue_;  // not sent yet
  std::deque<CallPtr> sent_;   // in order
  unsigned failures_ = 0;
  std::optional<Time> down_since_;
  Time retry_at_{};
  Time opened_at_{};
  Time heard_{};
  std::string last_error_;
  std::unique_ptr<Reactor::Handle> timer_;
};

}  // namespace godwit::store::redis
