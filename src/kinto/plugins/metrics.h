#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

class StoreMeter;

// Counts and times requests under the predecessor's names: at GET /__metrics__ as Prometheus text,
// or sent to `statsd_url`. With a meter, which outlives them, also calls to the stores.
std::unique_ptr<Plugin> makePrometheusPlugin(StoreMeter* meter);
std::unique_ptr<Plugin> makeStatsdPlugin(StoreMeter* meter);

}  // namespace godwit::kinto
