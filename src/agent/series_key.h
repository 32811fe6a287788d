#pragma once

#include <string>
#include <string_view>

#include "agent/statsd_parser.h"
#include "godwit/metrics/metrics.h"

// What makes a series of the aggregator one: kind, optional instant, name, sorted tags, as one
// string. Part of saved states. Any thread.
namespace godwit::agent {

std::string seriesKey(char kind, std::string_view time, std::string_view name,
                      const StatsdTags& tags);
// Fills in name and tags; returns the instant, a view into `key`, empty without one.
std::string_view splitSeriesKey(std::string_view key, std::string& name, metrics::Dims& dims);
std::string_view nameInKey(std::string_view key);
bool keyHasTime(std::string_view key);

}  // namespace godwit::agent
