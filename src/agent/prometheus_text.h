// Prometheus text format 0.0.4 and OpenMetrics 1.0. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/series_store.h"

namespace godwit::agent {

struct PrometheusOptions {
  bool open_metrics = false;
  bool histograms = false;  // else summaries
};

// Families in order of their name; series that become equal by the rules for names are merged.
// Without the "# EOF" of OpenMetrics.
void appendPrometheus(std::string& out, const std::vector<CumulativeSeries*>& series,
                      const PrometheusOptions& options);

std::string prometheusName(std::string_view name);       // [a-zA-Z_:][a-zA-Z0-9_:]*
std::string prometheusLabelName(std::string_view name);  // [a-zA-Z_][a-zA-Z0-9_]*

}  // namespace godwit::agent
