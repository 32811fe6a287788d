#pragma once

#include <memory>
#include <string>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Where the server's own measurements go: what is configured, else $GODWIT_SPOOL, else the system's
// spool if it is there and can be written. Empty: nowhere.
std::string metricsSpool(const std::string& configured);

// Appends RequestTime, Failure and ClientError of every top-level request to the spool, before the
// answer is sent: as many RequestTime as answers, however the process ends. docs/metrics.md.
std::unique_ptr<Plugin> makeSpoolMetrics(std::string spool);

}  // namespace godwit::kinto
