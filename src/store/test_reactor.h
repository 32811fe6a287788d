#pragma once

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "base/reactor.h"

namespace godwit::store {

// A loop for tests: one thread, a queue and timers, no descriptors. Stops and joins when destroyed,
// after what was posted before.
class TestReactor final : public Reactor {
 public:
  explicit TestReactor(std::size_t index = 0) : index_(index), thread_([this] { loop(); }) {}
  TestReactor(const TestReactor&) = delete;
  TestReactor& operator=(const TestReactor&) = delete;
  ~TestReactor() override {
    {
      std::lock_guard lock(mu_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] bool onThread() const override {
    return std::this_thread::get_id() == thread_.get_id();
  }
  void post(Job job) override {
    // Notified under the lock: whoever waits for `job` may destroy this as soon as it ran.
    std::lock_guard lock(mu_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }
  std::unique_ptr<FdWatch> watch(int, std::function<void(unsigned)>) override { std::abort(); }
  std::unique_ptr<Handle> timer(Deadline when, Job job) override {
    std::lock_guard lock(mu_);
    auto it = timers_.emplace(when.when(), std::move(job));
    auto alive = std::make_shared<bool>(true);
    alive_[&it->second] = alive;
    return std::make_unique<TimerHandle>(*this, it, alive);
  }

  // Runs `f` on the loop and waits for it.
  template <class F>
  void run(F f) {
    std::promise<void> done;
    post([&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  using Timers = std::multimap<Deadline::Clock::time_point, Job>;
  struct TimerHandle final : Handle {
    TimerHandle(TestReactor& r, Timers::iterator i, std::shared_ptr<bool> a)
        : reactor(r), it(i), alive(std::move(a)) {}
    TimerHandle(const TimerHandle&) = delete;
    TimerHandle& operator=(const TimerHandle&) = delete;
    ~TimerHandle() override {
      std::lock_guard lock(reactor.mu_);
      if (!*alive) return;
      reactor.alive_.erase(&it->second);
      reactor.timers_.erase(it);
    }
    TestReactor& reactor;
    Timers::iterator it;
    std::shared_ptr<bool> alive;  // shared with the reactor, which clears it when the timer fires
  };

  void loop() {
    std::unique_lock lock(mu_);
    for (;;) {
      Job job;
      if (!jobs_.empty()) {
        job = std::move(jobs_.front());
        jobs_.pop_front();
      } else if (!timers_.empty() && timers_.begin()->first <= Deadline::Clock::now()) {
        auto it = timers_.begin();
        job = std::move(it->second);
        *alive_[&it->second] = false;
        alive_.erase(&it->second);
        timers_.erase(it);
      } else if (stopping_) {
        return;
      } else if (timers_.empty()) {
        changed_.wait(lock);
        continue;
      } else {
        auto when = timers_.begin()->first;
        changed_.wait_until(lock, when);
        continue;
      }
      lock.unlock();
      job();
      lock.lock();
    }
  }

  const std::size_t index_;
  std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_
  std::deque<Job> jobs_;
  Timers timers_;
  std::map<const Job*, std::shared_ptr<bool>> alive_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace godwit::store
