// Folds what a frame holds into a SeriesStore. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/decode.h"
#include "agent/line_protocol.h"
#include "agent/series_store.h"

namespace godwit::agent {

class SeriesFolder final : public FrameSink {
 public:
  // `host`: label of every series, empty: none. `count` is told what became of each sample.
  SeriesFolder(SeriesStore& store, const std::string& host,
               std::function<void(SeriesStore::Added)> count)
      : store_(store), host_(host), count_(std::move(count)) {}

  std::int64_t log_ns = 0;  // time of the frame

  void onMetrics(const metrics::Metrics& m, std::uint32_t index) override;
  // The numbers of a line become gauges; the line counts as one sample.
  void onLine(std::string_view line, std::uint32_t index) override;

 private:
  SeriesStore& store_;
  const std::string& host_;
  std::function<void(SeriesStore::Added)> count_;
  LinePoint point_;
};

}  // namespace godwit::agent
