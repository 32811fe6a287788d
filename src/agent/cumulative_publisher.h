// Publishers that keep totals: Prometheus (shown on request) and OTLP (sent every interval). One
// thread folds the log into a SeriesStore. Store, places and account are saved as one file, so a
// kill -9 neither loses a sample nor counts one twice. docs/formats/agent-checkpoint.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "agent/cumulative_options.h"
#include "agent/dead_letters.h"
#include "agent/publisher.h"
#include "agent/series_store.h"

namespace godwit::agent {

class CumulativePublisher final : public Publisher {
 public:
  static Result<std::unique_ptr<Publisher>> open(Log& log, CumulativeOptions options);
  ~CumulativePublisher() override;

  void start() override;
  void flush() override;
  [[nodiscard]] bool reached(const Log::Mark& mark) const override;
  void stop() override;
  [[nodiscard]] PublisherStats stats() const override;
  void expose(std::string& out, bool open_metrics, bool histograms) override;

 private:
  CumulativePublisher(Log& log, CumulativeOptions options, Ledger ledger, DeadLetters dead);
  void main();
  bool load();
  bool save();
  bool fold(LogReader& reader, FrameDecoder& decoder);
  void count(SeriesStore::Added added);
  void sendChanged();
  bool sendRange(std::vector<CumulativeSeries*>& series, std::size_t first, std::size_t last);
  Outcome sendOnce(std::span<CumulativeSeries* const> series);
  void quarantine(const CumulativeSeries& s, const std::string& why);
  [[nodiscard]] bool sends() const { return !options_.to.url.empty(); }

  // Set once
  Log& log_;
  CumulativeOptions options_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> flushes_{0};

  // Publisher thread
  OtlpClient client_;
  DeadLetters dead_;
  bool dirty_ = false;
  std::uint64_t folded_bytes_ = 0;
  std::chrono::steady_clock::time_point last_save_{};
  std::chrono::steady_clock::time_point next_send_{};
  int attempt_ = 0;
  std::int64_t last_log_ns_ = 0;
  std::uint64_t dead_seq_ = 0;

  mutable std::mutex mu_;
  // Guarded by mu_
  SeriesStore store_;
  Ledger ledger_;
  Places places_;  // folded; the ledger has what is saved
  Counts counts_;
  std::uint64_t pending_ = 0;  // folded, not sent yet
  PublisherStats stats_;
};

}  // namespace godwit::agent
