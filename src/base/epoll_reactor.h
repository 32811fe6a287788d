#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/reactor.h"
#include "base/unique_fd.h"

namespace godwit {

// A plain epoll event loop for programs that serve no HTTP: command-line tools, tests, benchmarks.
// The thread that calls run() (or, before that, the one that built it) is the loop thread.
class EpollReactor final : public Reactor {
 public:
  explicit EpollReactor(std::size_t index = 0);
  ~EpollReactor() override;

  // Runs until stop(). What was posted before stop() still runs.
  void run();
  // Any thread; run() returns soon after.
  void stop();
  // Runs until `ready` answers true or the deadline passes; returns the last answer. Loop thread.
  bool runUntil(const std::function<bool()>& ready, Deadline deadline);

  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] bool onThread() const override;
  void post(Job job) override;
  std::unique_ptr<FdWatch> watch(int fd, std::function<void(unsigned)> ready) override;
  std::unique_ptr<Handle> timer(Deadline when, Job job) override;

 private:
  class Watch;
  class Timer;
  using TimerKey = std::pair<Deadline::Clock::time_point, std::uint64_t>;

  void turn(Deadline until);
  bool runPosted();
  void runTimers();

  // Set once
  const std::size_t index_;
  UniqueFd epoll_;
  UniqueFd wake_;

  // Loop thread only
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Watch*> watches_;
  std::map<TimerKey, Job> timers_;
  std::vector<Job> running_;

  std::atomic<std::thread::id> thread_;
  std::atomic<bool> stop_{false};
  std::mutex mu_;
  std::vector<Job> posted_;  // guarded by mu_
};

}  // namespace godwit
