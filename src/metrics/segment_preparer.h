#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "metrics/segment_map.h"
#include "metrics/spool_dir.h"

namespace godwit::metrics::spool {

// A thread that has the next segment ready before the present one is full, and unmaps old ones:
// both take milliseconds. Signals are blocked in it. After a fork the child abandons the object.
class SegmentPreparer {
 public:
  static constexpr char kName[] = "prepared.tmp";

  // nullptr when no thread can be had; segments are then made inline.
  static std::unique_ptr<SegmentPreparer> start(SpoolDir& spool, const Limits& limits);
  ~SegmentPreparer();  // a prepared file that nobody took is removed
  SegmentPreparer(const SegmentPreparer&) = delete;
  SegmentPreparer& operator=(const SegmentPreparer&) = delete;

  // Asks for one segment of this size in the directory; ignored while one is ready or in the
  // making.
  void request(int dir_fd, std::size_t size);
  // The finished one, still named kName. Does not wait.
  std::optional<SegmentMap> take();
  void discard(SegmentMap old);  // to be unmapped
  // In the child of a fork, where the thread does not exist; the object is then leaked.
  void abandon() { dir_.reset(); }

 private:
  SegmentPreparer(SpoolDir& spool, const Limits& limits) : spool_(spool), limits_(limits) {}
  void run();

  SpoolDir& spool_;
  const Limits limits_;
  std::mutex mu_;
  std::condition_variable wake_;
  // Guarded by mu_
  bool stop_ = false;
  std::size_t wanted_ = 0;
  bool busy_ = false;
  UniqueFd dir_;
  std::optional<SegmentMap> ready_;
  std::vector<SegmentMap> old_;
  std::thread thread_;
};

}  // namespace godwit::metrics::spool
