#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// event_listeners: tells a Redis list or an HTTP server of what was committed, off the request
// path. A receiver that is away costs no request anything: events wait for it, within bounds.
std::unique_ptr<Plugin> makeListenersPlugin();

}  // namespace godwit::kinto
