#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/job.h"

namespace godwit {

// Threads for work that must not run on an event loop (password hashing, blocking libraries), fed
// by a bounded queue. Any thread.
class WorkerPool {
 public:
  // `name` is what the threads are called (15 characters show in ps and gdb). A positive `nice`
  // makes them give way to the others when cores are short (setpriority(2)).
  WorkerPool(std::string name, std::size_t threads, std::size_t bound, int nice = 0);
  ~WorkerPool();  // stop(now)
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False when `bound` jobs wait already or the pool is stopping; the job is then not taken.
  [[nodiscard]] bool submit(Job job);

  // No more submissions. What is queued runs until the deadline; the rest is dropped. Returns how
  // many jobs were dropped. Joins every thread: a job that is running is waited for however long it
  // takes.
  std::size_t stop(Deadline deadline);

  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] std::uint64_t refused() const;

 private:
  void work();

  const std::string name_;
  const std::size_t bound_;
  const int nice_;

  mutable std::mutex mu_;
  // Guarded by mu_.
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Job> queue_;
  std::size_t running_ = 0;
  std::uint64_t refused_ = 0;
  bool closed_ = false;
  bool quit_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace godwit
