#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "store/sqlite/reader.h"

namespace godwit::store::sqlite {

// Threads for reads that may take long, so that loops never wait for them.
class ScanPool {
 public:
  ScanPool(const ConnectionOptions& options, const Clock& clock, std::size_t threads,
           std::size_t max_queue);
  ~ScanPool();  // answers what is queued kUnavailable, ends when the running ones have
  ScanPool(const ScanPool&) = delete;
  ScanPool& operator=(const ScanPool&) = delete;

  // Any thread. kUnavailable when full or stopping.
  void submit(std::unique_ptr<Unit> unit);
  // Finishes what is queued, up to the deadline. Not on a loop thread.
  void stop(Deadline deadline);

 private:
  void loop(Reader& reader);

  // Set once
  const std::size_t max_queue_;
  std::vector<std::unique_ptr<Reader>> readers_;  // one per thread

  std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_
  std::deque<std::unique_ptr<Unit>> queue_;
  bool stopping_ = false;
  Deadline stop_deadline_ = Deadline::never();

  std::vector<std::thread> threads_;
};

}  // namespace godwit::store::sqlite
