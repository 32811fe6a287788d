#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Counts and times requests under the predecessor's names: at GET /__metrics__ as Prometheus text,
// or sent to `statsd_url`.
std::unique_ptr<Plugin> makePrometheusPlugin();
std::unique_ptr<Plugin> makeStatsdPlugin();

}  // namespace godwit::kinto
