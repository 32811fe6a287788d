// The spool as the agent sees it: which lanes there are, when something has been appended, and what
// may be removed. One thread (run by the log itself) scans, wakes readers, flushes and removes;
// everything public may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/frame_types.h"
#include "agent/retired_lanes.h"
#include "godwit/deadline.h"
#include "godwit/result.h"
#include "metrics/lane_files.h"
#include "metrics/lane_reader.h"
#include "metrics/spool_dir.h"

namespace godwit::agent {

namespace spool = metrics::spool;

// One lane. The atomics are refreshed by the log's thread; `role` is set once it is known.
struct Lane {
  std::string dir;
  LaneId id;
  std::int64_t created_ns = 0;
  std::atomic<LaneRole> role{LaneRole::kUnknown};
  std::atomic<std::uint64_t> frames{0};  // appended so far, by the producer's account
  std::atomic<std::uint64_t> samples{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<bool> dead{false};
  std::atomic<bool> gone{false};  // removed from the disk
};
using LanePtr = std::shared_ptr<Lane>;

struct LogOptions {
  std::string dir;
  std::chrono::nanoseconds sync{std::chrono::seconds(1)};
  spool::Limits limits;
};

class Log {
 public:
  // Waits for the spool's agent lock until `deadline` (another agent holds it: hot standby) or
  // until `stop` says so. kTimeout, or what opening the spool gives.
  static Result<std::unique_ptr<Log>> open(LogOptions options, Deadline deadline,
                                           const std::function<bool()>& stop);
  ~Log();

  // Lanes known now, oldest first. `version` changes when the list does.
  std::vector<LanePtr> lanes() const;
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  // False: a lane could not be opened just now (descriptors, I/O). What is known of lanes that are
  // not listed must not be forgotten then.
  [[nodiscard]] bool complete() const { return complete_.load(std::memory_order_acquire); }

  // A counter that grows when frames were appended or lanes appeared. Waits until it differs from
  // `seen`, somebody called wakeReaders(), or the deadline passed.
  [[nodiscard]] std::uint64_t growth() const { return growth_.load(std::memory_order_acquire); }
  void waitGrowth(std::uint64_t seen, Deadline deadline);
  void wakeReaders();

  // A consumer pins what it has not passed. Register before start(). Positions given later must be
  // durable already. A lane without position is pinned whole (if its role is the consumer's).
  void addConsumer(const std::string& name, LaneRole role, bool required);
  // The publisher is not configured any more: its cursor file goes on pinning the log.
  void disownConsumer(const std::string& name);
  // Names of cursors that no configured publisher owns.
  std::vector<std::string> foreignConsumers() const;
  void passed(const std::string& consumer, const std::map<LaneId, spool::Position>& positions);

  // Begins scanning and, from now on, removing.
  void start();
  void stop();

  // How far the lanes go now: for those who have to know when a reader has passed this moment.
  using Mark = std::map<LaneId, std::uint64_t>;
  Mark mark(LaneRole role);

  struct Totals : LaneSums {  // removed lanes included
    std::uint64_t bytes_on_disk = 0;
    std::uint64_t live_lanes = 0, dead_lanes = 0;
    std::uint64_t removed_lanes = 0, recycled_segments = 0, removed_segments = 0;
    std::int64_t sync_ns = 0;  // the last flush
  };
  // As of now: looks for what has been appended since the last look.
  Totals totals();
  // What removed lanes had held.
  LaneSums retired() const {
    std::lock_guard lock(mu_);
    return retired_.sums();
  }
  [[nodiscard]] const std::string& dir() const { return options_.dir; }
  [[nodiscard]] spool::SpoolDir& spoolDir() { return *spool_; }

 private:
  struct Consumer {
    LaneRole role;
    bool required;
    bool foreign = false;  // a cursor file that no configured publisher owns
    std::map<LaneId, spool::Position> positions;
  };
  struct Known {
    LanePtr lane;
    std::unique_ptr<spool::LaneReader> probe;  // for account(), dead() and the role
    spool::LaneInfo account;
    std::uint64_t synced_frames = 0;
  };

  Log(LogOptions options, std::unique_ptr<spool::SpoolDir> dir, UniqueFd lock);
  void main();
  bool scan();
  void findRole(Known& known);
  void clean();
  bool passedBy(const Consumer& consumer, const Known& known, spool::Position& min) const;
  void removeSegments(Known& known, std::uint64_t below);
  bool finished(const Known& known, const spool::Position& at) const;
  bool removeLane(Known& known);
  void syncLanes();
  void loadForeignCursors();
  void forgetForeignCursors();

  // Set once
  LogOptions options_;
  std::unique_ptr<spool::SpoolDir> spool_;
  UniqueFd lock_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint64_t> growth_{0};
  std::atomic<bool> complete_{true};
  std::atomic<bool> passed_segment_{false};  // something may be there to remove

  std::mutex wait_mu_;
  std::condition_variable grown_;

  mutable std::mutex mu_;
  // Guarded by mu_
  std::map<std::string, Known> known_;  // by directory
  std::set<std::string> refused_;       // lanes of another version: reported once, left alone
  std::map<std::string, Consumer> consumers_;
  RetiredLanes retired_;
  Totals counts_;  // since the start
};

}  // namespace godwit::agent
