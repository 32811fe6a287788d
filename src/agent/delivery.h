// A publisher at work: two threads, one that reads the log and encodes batches, one that sends
// them. Batches are acknowledged in order, so the cursor is always the end of an unbroken run.
//
//   COLLECT -> SEND -> ACK | RETRY (full jitter) | SPLIT (halves) | QUARANTINE
//   breaker: CLOSED -> OPEN (5 failures) -> HALF_OPEN (100 units) -> slow start x4 -> CLOSED
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/dead_letters.h"
#include "agent/publisher.h"
#include "agent/target.h"

namespace godwit::agent {

struct DeliveryOptions {
  std::string name;
  std::string cursor_path;
  std::string dead_dir;
  std::uint64_t dead_max_bytes = 64u << 20;
  std::size_t batch_units = 5000;
  std::size_t batch_bytes = 1u << 20;
  std::chrono::nanoseconds linger{500'000'000};
  std::chrono::nanoseconds retry_max{30'000'000'000};
  bool required = true;
};

class Delivery final : public Publisher {
 public:
  static Result<std::unique_ptr<Publisher>> open(Log& log, DeliveryOptions options,
                                                 std::unique_ptr<Target> target);
  ~Delivery() override;

  void start() override;
  void flush() override;
  [[nodiscard]] bool reached(const Log::Mark& mark) const override;
  void stop() override;
  [[nodiscard]] PublisherStats stats() const override;

 private:
  Delivery(Log& log, DeliveryOptions options, std::unique_ptr<Target> target, Ledger ledger,
           DeadLetters dead);

  void readerMain();
  void senderMain();
  void fill(Batch& batch, LogReader& reader, FrameDecoder& decoder);
  void account(const LogGap& gap, Batch& batch);
  bool push(std::unique_ptr<Batch> batch);
  std::unique_ptr<Batch> pop();

  bool deliver(Batch& batch);
  bool deliverRange(Batch& batch, std::size_t first, std::size_t last, int& splits);
  Outcome sendOnce(const Batch& batch, std::size_t first, std::size_t last);
  bool waitBeforeRetry(const Outcome& outcome);
  void quarantine(Batch& batch, std::size_t first, std::size_t last, const std::string& reason);
  bool acknowledge(Batch& batch);
  bool storeCursor();

  // Set once
  Log& log_;
  DeliveryOptions options_;
  std::unique_ptr<Target> target_;
  std::thread reader_;
  std::thread sender_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> flushes_{0};

  // Sender thread only
  DeadLetters dead_;
  int failures_ = 0;
  int attempt_ = 0;
  std::size_t limit_ = SIZE_MAX;       // units in a request; the slow start
  std::size_t size_limit_ = SIZE_MAX;  // bytes in a request; after 413
  bool dirty_ = false;
  std::chrono::steady_clock::time_point last_store_{};

  mutable std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_
  Ledger ledger_;
  std::deque<std::unique_ptr<Batch>> queue_;
  bool busy_ = false;  // the sender holds a batch
  PublisherStats stats_;
};

}  // namespace godwit::agent
