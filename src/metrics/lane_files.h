#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "metrics/spool_format.h"

// Names and headers of a lane's files, for reader, writer and scans. Nothing here waits.
namespace godwit::metrics::spool {

inline constexpr char kLanesDir[] = "lanes";
inline constexpr char kFreeDir[] = "free";
inline constexpr char kLaneFile[] = "lane";

std::string segmentName(std::uint64_t seg_no, std::string_view suffix = ".seg");
// nullopt: not "<digits>.seg".
std::optional<std::uint64_t> segmentNumber(std::string_view name);
// Numbers of the segments in a lane (or its free/) directory, ascending. Empty when unreadable.
std::vector<std::uint64_t> listSegments(const std::string& dir);
std::vector<std::uint64_t> listSegments(int dir_fd);
// Names of the lane directories below <spool>/lanes, ascending.
std::vector<std::string> listLanes(const std::string& spool_dir);

// Takes the producer's lock of a lane, if nobody has it. Hold the result while removing the lane.
// A lane without a lane file has no producer; nullopt then, too.
std::optional<UniqueFd> tryLockLane(const std::string& lane_dir);
bool lockFile(int fd);       // F_OFD_SETLK, whole file
bool lockedByOther(int fd);  // F_OFD_GETLK
bool preadAll(int fd, void* out, std::size_t size, std::uint64_t off);

// Plain copies of what the shared structs hold.
struct SegmentInfo {
  bool sound = false;  // magic, version and CRC
  LaneId lane_id;
  std::uint64_t seg_no = 0;
  std::uint64_t base_seq = 0;
  std::int64_t created_ns = 0;
  std::uint32_t size = 0;
  std::uint64_t commit_off = 0;
  std::uint64_t last_seq = 0;
  std::optional<std::uint64_t> base_samples;
};
SegmentInfo readSegmentInfo(int fd);

struct LaneInfo {
  bool sound = false;
  bool other_version = false;
  LaneId lane_id;
  std::uint32_t slot = 0;
  std::uint64_t pid = 0;
  std::int64_t created_ns = 0;
  std::uint64_t frames = 0, samples = 0, bytes = 0, ts_ahead_us = 0, clock_hold_ns = 0;
  std::uint64_t dropped_frames[kDropReasons] = {};
  std::uint64_t dropped_samples[kDropReasons] = {};
};
LaneInfo readLaneInfo(int fd);

}  // namespace godwit::metrics::spool
