// What the agent needs of a publisher, however it works inside.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/ledger.h"

namespace godwit::agent {

struct PublisherStats {
  std::string name;
  std::string type;
  bool required = true;
  bool up = true;  // the last request was understood
  std::string breaker = "closed";
  std::string last_error;
  std::map<int, std::uint64_t> requests;  // by answer; 0: none
  std::uint64_t retried = 0;
  std::uint64_t split = 0;
  std::map<std::string, std::uint64_t> quarantined;  // letters since the start, by reason
  std::uint64_t dead_letters = 0;                    // on disk now
  std::uint64_t dead_bytes = 0;
  std::uint64_t dead_expired = 0;
  std::uint64_t corrupt_bytes = 0;
  std::uint64_t batches = 0;
  double publish_seconds_sum = 0;
  std::uint64_t publish_seconds_count = 0;
  double publish_seconds_max = 0;
  std::uint64_t series = 0;
  std::uint64_t series_overflow = 0;
  // The account. spooled: in the log and not decided yet.
  Counts counts;
  std::uint64_t spooled_samples = 0;
  std::uint64_t spooled_frames = 0;
};

class Publisher {
 public:
  virtual ~Publisher() = default;
  virtual void start() = 0;
  // Sends what is there now instead of waiting for more, and retries at once. Any thread.
  virtual void flush() = 0;
  // It has passed everything up to `mark`. Any thread.
  [[nodiscard]] virtual bool reached(const Log::Mark& mark) const = 0;
  // Aborts what is under way, stores the cursor, joins. After it the object only answers stats().
  virtual void stop() = 0;
  [[nodiscard]] virtual PublisherStats stats() const = 0;
  // Appends what a Prometheus server wants to see. Nothing for those who send.
  virtual void expose(std::string&, bool /*open_metrics*/, bool /*histograms*/) {}
};

}  // namespace godwit::agent
