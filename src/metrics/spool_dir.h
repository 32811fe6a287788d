#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "metrics/spool_format.h"

// The spool's root as every process sees it: VERSION, budget, slots. Any thread.
namespace godwit::metrics::spool {

struct Limits {
  std::uint64_t max_bytes = std::uint64_t{1} << 30;
  std::uint64_t max_lane_bytes = std::uint64_t{256} << 20;
  double min_free = 0.05;  // share of the file system that is left free
};

// $GODWIT_SPOOL, else /var/lib/godwit/spool if it can be written, else $XDG_STATE_HOME (or
// ~/.local/state) + /godwit/spool. Empty when there is no home either.
std::string defaultSpoolDir();

class SpoolDir {
 public:
  // Creates what is missing (mode 0770, files 0660). kUnsupported: a spool of another version.
  static Result<std::unique_ptr<SpoolDir>> open(const std::string& path);
  ~SpoolDir();
  SpoolDir(const SpoolDir&) = delete;
  SpoolDir& operator=(const SpoolDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Budget& budget() { return *budget_; }

  // Reserves bytes for a segment, scanning and, when no agent lives, removing the oldest segments
  // of dead lanes if need be. kLimit: no room. `first_of_lane` may use the last eighth of the
  // budget, so that a new process is heard even when others have filled the spool.
  Result<void> reserve(std::uint64_t bytes, const Limits& limits, bool first_of_lane);
  void release(std::uint64_t bytes);
  // Tells producers that wait for room. After segments were removed or given back.
  void announceSpace();
  // Waits until somebody frees segments, at most timeout_ms.
  void waitForSpace(int timeout_ms);

  // Sum of the segments' allocated blocks, from the files; also stored in the budget.
  std::uint64_t rescan();
  [[nodiscard]] bool agentAlive() const;
  // Counts in the budget file; the caller counts in its lane.
  void countDropped(DropReason reason, std::uint64_t frames, std::uint64_t samples);
  // Wakes the agent if it sleeps. No syscall otherwise.
  void wakeAgent() {
    if (budget_->asleep.load(std::memory_order_relaxed) != 0) wakeSlow();
  }
  // For the agent: sleeps until woken or the timeout passed. Announces the sleep first, so look for
  // new frames once more between `announceSleep` and `sleep`.
  void announceSleep() { budget_->asleep.store(1, std::memory_order_seq_cst); }
  void sleep(int timeout_ms);

  // A new lanes/<slot>-…/ directory with its locked `lane` file.
  struct NewLane {
    std::string dir;
    UniqueFd lock;                 // of the lane file
    LaneHeader* header = nullptr;  // mapped; the caller unmaps kLaneFileSize bytes
  };
  Result<NewLane> createLane(std::uint32_t segment_size, std::int64_t now_ns);

 private:
  SpoolDir(std::string path, UniqueFd dir) : path_(std::move(path)), dir_(std::move(dir)) {}
  void wakeSlow();
  Result<void> prepare();
  Result<void> mapBudget();
  std::uint64_t makeRoom(std::uint64_t bytes);

  std::string path_;
  UniqueFd dir_;
  Budget* budget_ = nullptr;
  std::atomic<std::int64_t> last_scan_ms_{-1'000'000};
};

}  // namespace godwit::metrics::spool
