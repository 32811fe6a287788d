// One consumer's way through all lanes of a role. Reads round robin, so that a busy lane does not
// starve the others. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "agent/log.h"

namespace godwit::agent {

// Where a consumer stands in a lane, and how many samples it has passed there.
struct LanePlace {
  spool::Position position;
  std::uint64_t samples = 0;
  friend bool operator==(const LanePlace&, const LanePlace&) = default;
};
using Places = std::map<LaneId, LanePlace>;

struct LogFrame {
  LaneId lane;
  std::uint32_t slot = 0;
  spool::FrameView frame;  // until the next call of next()
};

struct LogGap {
  LaneId lane;
  std::string lane_dir;
  spool::Gap gap;
};

class LogReader {
 public:
  enum class Order : std::uint8_t {
    kFair,   // the lanes take turns
    kByAge,  // a lane is begun when all older ones are finished
  };

  // Starts at `places`. Other lanes are read from their first frame; what is not there any more is
  // a gap. A `fresh` reader misses nothing of what was before it: it begins with what is there now.
  LogReader(Log& log, LaneRole role, Places places, bool fresh, Order order = Order::kFair);

  // kEnd: nothing more for now, look at log.waitGrowth().
  spool::ReadStatus next(LogFrame& frame, LogGap& gap);

  // After the last thing next() returned. Lanes that are gone are left out.
  [[nodiscard]] const Places& places() const { return places_; }
  // Lanes touched since the last call: what a batch has to acknowledge.
  Places takeTouched() { return std::exchange(touched_, {}); }

  // Samples of lanes that were removed before this consumer had read them: only what does not pin
  // the log (required = off) can meet this. Since the last call.
  std::uint64_t takeMissed() { return std::exchange(missed_, 0); }

  // Samples that are missing by the producers' accounts, beyond what gaps have told: a reader that
  // began in the middle of a damaged segment cannot know more. Since the last call.
  std::uint64_t takeReconciled() { return std::exchange(reconciled_, 0); }

  // Samples a fresh reader did not find any more. Once.
  std::uint64_t takeSkipped() { return std::exchange(skipped_, 0); }

  // Appended and not passed, by the producers' accounts.
  struct Behind {
    std::uint64_t frames = 0;
    std::uint64_t samples = 0;
  };
  static Behind behind(const Log& log, LaneRole role, const Places& places);

 private:
  struct Open {
    LanePtr lane;
    std::unique_ptr<spool::LaneReader> reader;
    std::uint64_t frames_seen = ~std::uint64_t{0};  // lane->frames when the end was last reached
    bool finished = false;
    std::uint64_t segment = 0;  // of the last frame
  };

  void refresh();
  void reconcile(LanePlace& place, std::uint64_t expected, const LaneId& id);

  Log& log_;
  LaneRole role_;
  Order order_;
  bool fresh_;
  Places places_;
  Places touched_;
  std::vector<Open> open_;
  std::uint64_t version_ = ~std::uint64_t{0};
  std::size_t turn_ = 0;
  std::size_t in_turn_ = 0;
  bool unsettled_ = false;  // a lane is there whose role is unknown or that could not be opened
  std::uint64_t missed_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t reconciled_ = 0;
};

// Every lane of the mark is passed as far as it says, or gone.
bool hasReached(const Places& places, const Log& log, const Log::Mark& mark);

}  // namespace godwit::agent
