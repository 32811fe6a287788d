#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// One line per request with the fields of the predecessor's request.summary.
std::unique_ptr<Plugin> makeRequestLog();

}  // namespace godwit::kinto
