#pragma once

#include <string_view>

namespace godwit {

// Sends `state` ("READY=1", "STOPPING=1", lines joined by '\n') to $NOTIFY_SOCKET, per
// sd_notify(3). Without the variable nothing happens. True when a manager was told. Any thread;
// never blocks.
bool sdNotify(std::string_view state);

}  // namespace godwit
