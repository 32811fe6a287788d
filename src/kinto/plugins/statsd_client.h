#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "kinto/plugins/metrics_service.h"

namespace godwit::kinto {

// Sends each measurement as a StatsD line over UDP: counts without labels as counters, with labels
// as sets of "label.value...", observations as gauges, times as milliseconds in the key. Lines are
// packed into packets of at most 1432 bytes, sent when full and by flush(). A packet the kernel
// does not take at once is dropped and counted.
class StatsdClient final : public MetricsService {
 public:
  // "udp://host:port"; the name is resolved here. Errors: kInvalid, kUnavailable.
  static Result<std::unique_ptr<StatsdClient>> connect(std::string_view url, std::string prefix);
  ~StatsdClient() override;

  void count(std::string_view key, double n, Labels labels) override;
  void observe(std::string_view key, double value, Labels labels) override;
  void time(std::string_view key, double seconds, Labels labels) override;
  void flush();

  [[nodiscard]] std::uint64_t droppedPackets() const;

 private:
  StatsdClient(UniqueFd fd, std::string prefix);
  void send(std::string_view key, std::string_view value, std::string_view type);
  void sendPacket();

  // Set once
  UniqueFd fd_;
  std::string prefix_;  // with dot

  mutable std::mutex mu_;
  // Guarded by mu_.
  std::string packet_;
  std::uint64_t dropped_ = 0;
};

}  // namespace godwit::kinto
