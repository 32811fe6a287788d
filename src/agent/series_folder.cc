#include "agent/series_folder.h"

namespace godwit::agent {

void SeriesFolder::onMetrics(const metrics::Metrics& m, std::uint32_t) {
  for (const auto* list : {&m.counters, &m.timers, &m.extra}) {
    for (const auto& s : *list) count_(store_.add(m.dims, s, host_, log_ns));
  }
}

void SeriesFolder::onLine(std::string_view line, std::uint32_t) {
  auto parts = splitLine(line);
  bool any = false;
  if (parts && parseLinePoint(*parts, point_)) {
    for (const auto& [field, value] : point_.fields) {
      double v = 0;
      if (const auto* i = std::get_if<std::int64_t>(&value)) {
        v = static_cast<double>(*i);
      } else if (const auto* d = std::get_if<double>(&value)) {
        v = *d;
      } else if (const auto* b = std::get_if<bool>(&value)) {
        v = *b ? 1 : 0;
      } else {
        continue;
      }
      std::string name = field == "value" ? point_.measurement : point_.measurement + "_" + field;
      auto added =
          store_.addGauge(point_.tags, std::move(name), v, point_.timestamp, host_, log_ns);
      any = any || added == SeriesStore::Added::kYes;
    }
  }
  count_(any ? SeriesStore::Added::kYes : SeriesStore::Added::kUnsupported);
}

}  // namespace godwit::agent
