// What a publisher is made of beside the delivery machine: turn metrics into units of payload, send
// a range of units, say how it went. The machine (delivery.h) does order, retries, splitting,
// quarantine and accounting.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "agent/decode.h"
#include "agent/ledger.h"

namespace godwit::agent {

// Something put aside before it was sent: malformed, or known to be refused.
struct Reject {
  LaneId lane;
  std::uint64_t seq;
  std::uint32_t index;
  std::uint32_t samples;
  FrameType type;
  std::string reason;
  std::string payload;
};

// The smallest thing that can be sent alone; for the databases one line.
struct Unit {
  std::uint32_t offset;  // in Batch::body
  std::uint32_t size;
  std::uint32_t samples;
  std::uint32_t index;  // within its frame
  LaneId lane;
  std::uint64_t seq;
};

struct Batch {
  std::string body;
  std::vector<Unit> units;
  std::vector<Reject> rejects;
  Counts counts;       // of what is decided already: drops, rejects
  Counts provisional;  // already in the ledger, to be taken back (at-most-once targets)
  Places places;       // where the log stands behind this batch
  std::int64_t oldest_ns = 0;
};

struct Outcome {
  enum class Kind : std::uint8_t {
    kOk,
    kRetry,      // the same again later; nothing is wrong with the units
    kRejected,   // at least one unit is bad; others may have been stored
    kTooLarge,   // send less at a time
    kForbidden,  // settings are wrong: 401, 403, 404
    kAborted,
  };
  Kind kind = Kind::kRetry;
  int code = 0;              // HTTP status, 0 without
  bool unreachable = false;  // kRetry: nothing listens there; asking again costs nobody anything
  double retry_after_s = -1;
  std::string message;
};

// Encoding runs on the reader's thread, send() on the sender's; a target keeps their state apart.
class Target {
 public:
  struct FrameRef {
    LaneId lane;
    std::uint64_t seq = 0;
    FrameType type{};
    std::string_view payload;
  };

  virtual ~Target() = default;

  // Appends units, or puts samples into batch.rejects / batch.counts.
  virtual void addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                          Batch& batch) = 0;
  virtual void addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
                       Batch& batch) = 0;
  virtual Outcome send(const Batch& batch, std::size_t first, std::size_t last) = 0;

  // What to keep of a unit that was refused for good.
  virtual FrameType deadType() const { return kFrameLines; }
  // Whether a crash between send and cursor may repeat a batch. False: the cursor goes first.
  virtual bool repeatable() const { return true; }
  // Whether refused ranges can be split. False: they are quarantined whole.
  virtual bool divisible() const { return true; }
  virtual std::chrono::nanoseconds linger(std::chrono::nanoseconds configured) const {
    return configured;
  }
  // Any thread: ends a send() that waits, for good.
  virtual void abort() {}
};

struct TargetContext {
  std::string host;  // value of the `host` dimension, empty: none
  std::string agent_id;
};

// nullptr for the types that are no plain targets (prometheus, otlp).
std::unique_ptr<Target> makeTarget(const Section& settings, const TargetContext& context);

}  // namespace godwit::agent
