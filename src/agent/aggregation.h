// The thread that turns StatsD datagrams of the log into points of the log, exactly once across
// kill -9: state and place are saved as one, and after a restart what had been given out already is
// recognised by its window and chunk. docs/formats/agent-checkpoint.md.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "agent/aggregator.h"
#include "agent/inlet.h"
#include "agent/log_reader.h"

namespace godwit::agent {

struct AggregationStats {
  AggregatorCounts counts;
  std::uint64_t lines_lost = 0;     // gaps in the datagram lanes
  std::uint64_t spooled_lines = 0;  // in the log, not aggregated yet
  std::size_t open_series = 0;
  std::size_t cached_series = 0;
  std::uint64_t windows = 0;  // closed by this process
  std::uint64_t checkpoints = 0;
  std::uint64_t checkpoint_bytes = 0;
  std::uint64_t skipped_after_crash = 0;  // frames
  std::vector<std::pair<std::string, std::uint64_t>> offenders;
};

class Aggregation {
 public:
  // Loads the checkpoint and looks what had been given out after it. Before log.start().
  Aggregation(Log& log, Inlet& inlet, AggregatorOptions options, bool flush_partial_on_exit);
  ~Aggregation();

  void start();
  // Stops after the datagrams that are in the log now (or at the deadline) and saves the state.
  void stop(Deadline deadline);
  [[nodiscard]] bool reached(const Log::Mark& mark) const;
  // Something is waiting for the end of its window: a tick is needed even without traffic.
  [[nodiscard]] bool wantsTick() const { return open_.load(std::memory_order_relaxed); }
  [[nodiscard]] AggregationStats stats() const;

 private:
  void main();
  void load();
  void findGivenOut();
  void consume(const LogFrame& f, LogReader& reader);
  std::int64_t windowFor(const LaneId& lane, std::int64_t ts_ns);
  void closeWindow(std::int64_t next);
  void giveOut(std::int64_t window, std::string& chunk, std::uint32_t count);
  void save();
  [[nodiscard]] std::uint64_t saveEvery() const;
  void publishStats();

  // Set once
  Log& log_;
  Inlet& inlet_;
  std::string path_;
  bool flush_partial_;
  std::int64_t interval_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> open_{false};
  Deadline stop_at_ = Deadline::never();  // written before stopping_

  // Aggregation thread
  Aggregator aggregator_;
  std::map<LaneId, std::int64_t> shifts_;
  Places done_;
  Places saved_;
  std::uint64_t lines_lost_ = 0;
  std::uint64_t bytes_since_save_ = 0;
  bool changed_ = false;
  std::string out_lane_;          // directory name of the lane that takes the points
  spool::Position out_position_;  // its end when the state was saved
  // The last that a former life is known to have given out.
  std::int64_t given_window_ = Aggregator::kNone;
  std::uint32_t given_chunk_ = 0;
  std::uint32_t chunk_ = 0;  // next number in the open window

  mutable std::mutex mu_;
  AggregationStats stats_;  // guarded by mu_
  Places stat_places_;      // guarded by mu_
};

}  // namespace godwit::agent
