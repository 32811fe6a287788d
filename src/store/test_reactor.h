#pragma once

#include <future>
#include <thread>

#include "base/epoll_reactor.h"

namespace godwit::store {

// A loop for tests, on a thread of its own. Stops and joins when destroyed, after what was posted
// before.
class TestReactor final : public Reactor {
 public:
  explicit TestReactor(std::size_t index = 0) : loop_(index), thread_([this] { loop_.run(); }) {}
  TestReactor(const TestReactor&) = delete;
  TestReactor& operator=(const TestReactor&) = delete;
  ~TestReactor() override {
    loop_.stop();
    thread_.join();
  }

  [[nodiscard]] std::size_t index() const override { return loop_.index(); }
  [[nodiscard]] bool onThread() const override {
    return std::this_thread::get_id() == thread_.get_id();
  }
  void post(Job job) override { loop_.post(std::move(job)); }
  std::unique_ptr<FdWatch> watch(int fd, std::function<void(unsigned)> ready) override {
    return loop_.watch(fd, std::move(ready));
  }
  std::unique_ptr<Handle> timer(Deadline when, Job job) override {
    return loop_.timer(when, std::move(job));
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
  EpollReactor loop_;
  std::thread thread_;
};

}  // namespace godwit::store
