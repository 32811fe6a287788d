#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace godwit::metrics {

// Calls a function at fixed intervals from a thread of its own, with all signals blocked.
class Flusher {
 public:
  // nullptr when there is no thread to be had.
  static std::unique_ptr<Flusher> start(std::chrono::milliseconds every, std::function<void()> fn);
  ~Flusher();  // waits for a call in progress
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

 private:
  Flusher(std::chrono::milliseconds every, std::function<void()> fn)
      : every_(every), fn_(std::move(fn)) {}
  void run();

  const std::chrono::milliseconds every_;
  const std::function<void()> fn_;
  std::mutex mu_;
  std::condition_variable wake_;
  bool stop_ = false;  // guarded by mu_
  std::thread thread_;
};

}  // namespace godwit::metrics
