#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "godwit/deadline.h"

namespace godwit::kinto {

// How messages reach a receiver. Called by one thread at a time, which may wait.
class Carrier {
 public:
  enum class Outcome : std::uint8_t {
    kDelivered,
    kRefused,  // for good: trying again would change nothing
    kFailed,   // try again
  };
  struct Attempt {
    Outcome outcome = Outcome::kFailed;
    std::string why;                         // of what went wrong, for the log
    std::chrono::milliseconds not_before{};  // the receiver asked for that much patience
    Attempt() = default;
    Attempt(Outcome o, std::string w) : outcome(o), why(std::move(w)) {}
  };

  virtual ~Carrier() = default;
  // All of `messages` or none. Must return soon after `deadline`.
  virtual Attempt carry(std::span<const std::string> messages, Deadline deadline) = 0;
  // Any thread: makes a carry() under way, and any later one, fail soon.
  virtual void cancel() = 0;
};

// Delivers messages in order on a thread of its own, so that whoever posts them never waits. A
// failed delivery is repeated with jittered, growing pauses. At most max_messages and max_bytes
// wait; beyond that new ones are dropped and counted, as are those given up. A message may arrive
// twice when its answer was lost.
class Courier {
 public:
  struct Options {
    std::string name;  // in the log
    std::size_t max_messages = 10'000;
    std::size_t max_bytes = 16 << 20;
    std::size_t batch = 1;                     // messages that carry() may get at once
    unsigned max_attempts = 10;                // per batch; 0: until it succeeds
    std::chrono::milliseconds timeout{5'000};  // of an attempt
    std::chrono::milliseconds first_pause{250};
    std::chrono::milliseconds longest_pause{30'000};
    Options() = default;
  };
  struct Counts {
    std::uint64_t delivered = 0;
    std::uint64_t dropped = 0;   // no room
    std::uint64_t given_up = 0;  // refused, tried in vain, or left at the end
    std::uint64_t retries = 0;
    std::uint64_t waiting = 0;
  };

  Courier(Options options, std::unique_ptr<Carrier> carrier);
  ~Courier();  // as stop() without patience
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  // Any thread. False: there was no room, or it has stopped.
  bool post(std::string message);
  [[nodiscard]] Counts counts() const;

  // Delivers what waits, without further pauses than it takes, until the deadline; the rest is
  // counted and logged. Blocks. Later calls do nothing.
  void stop(Deadline deadline);
  // Announces stop(), so that several stop at the same time.
  void beginStop(Deadline deadline);

 private:
  void run();
  void deliver(std::span<const std::string> batch);
  bool pause(std::chrono::milliseconds wait);
  void complain(Deadline& quiet, const char* what, const std::string& why);

  const Options options_;
  const std::unique_ptr<Carrier> carrier_;

  mutable std::mutex mu_;
  // Guarded by mu_.
  std::condition_variable wake_;
  std::condition_variable ended_cv_;
  std::deque<std::string> waiting_;
  std::size_t bytes_ = 0;
  std::size_t carried_ = 0;  // messages of the batch under way
  bool stopping_ = false;
  bool ended_ = false;
  Deadline until_ = Deadline::never();
  Counts counts_;
  // When the next complaint of a kind may be logged.
  Deadline quiet_full_ = Deadline::after({});
  Deadline quiet_failed_ = Deadline::after({});

  std::thread thread_;
};

}  // namespace godwit::kinto
