// What removed lanes had held: a part of the account that has to outlive them.
// docs/formats/agent-checkpoint.md, "agent/retired". One thread.
#pragma once

#include <cstdint>
#include <string>

#include "metrics/lane_files.h"

namespace godwit::agent {

namespace spool = metrics::spool;

// Drops that producers counted themselves, by reason of metrics::spool::DropReason.
struct ClientDrops {
  std::uint64_t frames[spool::kDropReasons] = {};
  std::uint64_t samples[spool::kDropReasons] = {};
};

// By role of the lane.
struct LaneSums {
  std::uint64_t points_frames = 0, points_samples = 0;
  std::uint64_t statsd_frames = 0, statsd_samples = 0;
  ClientDrops client_drops;

  void add(bool statsd, const spool::LaneInfo& account);
};

class RetiredLanes {
 public:
  RetiredLanes() = default;
  // Ends the removal that a crash interrupted. A missing file is an empty account.
  static RetiredLanes load(const std::string& spool_dir);

  // To be called before anything of the lane is removed; durable when it returns true. False (a
  // full disk): nothing has changed, and the lane has to stay.
  bool add(const std::string& lane_name, bool statsd, const spool::LaneInfo& account);
  [[nodiscard]] const LaneSums& sums() const { return sums_; }

 private:
  std::string dir_;
  LaneSums sums_;
};

}  // namespace godwit::agent
