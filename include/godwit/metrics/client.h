// Client: where a program hands its measurements over. They are appended to the spool, a directory
// from which godwit-agent publishes them; what send() answered with Spooled survives `kill -9` of
// the program and of the agent. No network, no other process is needed. docs/metrics.md.
//
// Any thread. Survives fork(): the child writes to a lane of its own. Nothing blocks unless
// OnFull::Block is chosen. Measurements that cannot be kept are counted, never reported by
// exception.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/deadline.h"
#include "godwit/metrics/collector.h"
#include "godwit/metrics/instruments.h"
#include "godwit/metrics/metrics.h"

namespace godwit::metrics {

// What happens when the spool's bounds or the disk are reached.
enum class OnFull : std::uint8_t { DropOldest, DropNewest, Block };

// Redis marks everything sent as to be forwarded to Redis by the agent. The program itself appends
// to the spool either way and never waits for Redis.
enum class Channel : std::uint8_t { Spool, Redis };

struct Options {
  // Affect behaviour
  Channel channel = Channel::Spool;
  std::string
      spool_dir;  // empty: $GODWIT_SPOOL, /var/lib/godwit/spool, $XDG_STATE_HOME/godwit/spool
  Dims default_dimensions;
  std::string timestamp_format{kDefaultTimestampFormat};  // for the Kadabra wire only
  OnFull on_full = OnFull::DropOldest;
  std::chrono::milliseconds block_timeout{100};    // OnFull::Block
  std::chrono::milliseconds flush_interval{1000};  // of handles
  // Affect resources
  std::uint64_t max_bytes = std::uint64_t{1} << 30;         // of the whole spool
  std::uint64_t max_lane_bytes = std::uint64_t{256} << 20;  // of this process
  double min_free = 0.05;               // share of the file system that is left free
  std::size_t segment_size = 8u << 20;  // 1 to 128 MiB
  std::size_t ring_bytes = 1u << 20;    // memory for when the spool cannot be used
  std::size_t max_handles = 10'000;     // more share one overflow handle per kind
};

enum class SendResult : std::uint8_t {
  Spooled,   // durable against the death of any process
  Buffered,  // in memory until the spool can be used
  Dropped,   // counted in Stats
};

struct Stats {
  std::uint64_t frames = 0;   // appended
  std::uint64_t samples = 0;  // in them
  std::uint64_t bytes = 0;
  // Samples that went, by reason. Full includes older ones that had been appended.
  std::uint64_t dropped_full = 0;
  std::uint64_t dropped_oversize = 0;
  std::uint64_t dropped_nan = 0;
  std::uint64_t dropped_unavailable = 0;
  std::uint64_t buffered_frames = 0;    // waiting in memory now
  std::uint64_t spool_unavailable = 0;  // attempts that failed
  std::uint64_t lane_bytes = 0;         // on disk now
  std::uint64_t ts_ahead_us = 0;        // unique timestamps ahead of the clock
  std::uint64_t handles = 0;
  std::string lane;        // directory; empty before the first send
  std::string last_error;  // why the spool could not be used
};

class Client {
 public:
  explicit Client(Options options = {});
  // Flushes handles and seals the lane. Bounded by file operations; no network.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] Collector metrics();
  SendResult send(Metrics&& metrics) noexcept;
  SendResult send(Collector& collector);  // close() and send

  // The same name and dimensions (in any order) give the same handle. Never fails: beyond
  // Options::max_handles the handle is one shared by all that came too late.
  Counter& counter(std::string_view name, const Dims& dims = {});
  Timer& timer(std::string_view name, const Dims& dims = {}, const Unit& unit = Milliseconds);
  Gauge& gauge(std::string_view name, const Dims& dims = {});

  // Sends what the handles hold. True when nothing is left in memory. Tries once and does not wait;
  // an expired deadline skips the try.
  bool flush(Deadline deadline) noexcept;
  [[nodiscard]] Stats stats() const;

  // For bindings of other languages.
  [[nodiscard]] TimeNs uniqueNow() noexcept;  // whole microseconds, as ns; never the same twice
  SendResult sendEncoded(std::string_view metrics_binary) noexcept;  // docs/formats/spool.md
  void countRefused(std::uint64_t samples) noexcept;

 private:
  std::shared_ptr<detail::Core> core_;  // shared with collectors, which may outlive the client
};

}  // namespace godwit::metrics
