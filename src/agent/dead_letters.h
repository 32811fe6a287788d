// What a publisher's target refused for good, kept so that a person can look, repair and requeue.
// Bounded: the oldest file goes first, counted. docs/formats/agent-dead.md is the format.
// One writer per directory; readers may look at any time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/frame_types.h"
#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::agent {

struct DeadLetter {
  std::int64_t time_ns = 0;  // when it was put aside
  LaneId lane;               // where it came from: with seq and index the key, a letter comes once
  std::uint64_t seq = 0;
  std::uint32_t index = 0;
  std::uint32_t samples = 1;
  FrameType type{};  // of the payload
  std::string reason;
  std::string payload;
};

class DeadLetters {
 public:
  // Reads what is there, to know the keys. A damaged tail (power loss) is cut off.
  static Result<DeadLetters> open(const std::string& dir, std::uint64_t max_bytes);

  // Buffered in memory until flush(). False: the same letter is there already (a replay).
  bool add(DeadLetter letter);
  // Writes and flushes what add() collected.
  Result<> flush();

  // Samples in letters that were removed to keep the bound, since the last call.
  std::uint64_t takeExpired() { return std::exchange(expired_, 0); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t letters() const { return keys_.size(); }

 private:
  DeadLetters(std::string dir, std::uint64_t max_bytes) : dir_(std::move(dir)), max_(max_bytes) {}
  Result<> roll();
  void expire();

  std::string dir_;
  std::uint64_t max_;
  UniqueFd file_;
  std::uint64_t file_no_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t expired_ = 0;
  std::string pending_;
  std::unordered_set<std::uint64_t> keys_;
};

// Number of a letter, as `dead ls` prints it: file number and offset.
struct DeadId {
  std::uint64_t file = 0;
  std::uint64_t offset = 0;
};
std::string deadIdText(DeadId id);
bool parseDeadId(std::string_view text, DeadId& out);

// Calls `each` for every letter, oldest first, until it returns false. Damaged parts are skipped.
void readDeadLetters(const std::string& dir,
                     const std::function<bool(DeadId, const DeadLetter&)>& each);
// Rewrites the directory without the letters for which `drop` says true. Returns how many those
// were. Takes the directory's lock, which the agent holds while it adds: kUnavailable after 5 s.
Result<std::uint64_t> dropDeadLetters(const std::string& dir,
                                      const std::function<bool(DeadId, const DeadLetter&)>& drop);

}  // namespace godwit::agent
