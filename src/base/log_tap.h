#pragma once

#include <functional>
#include <string_view>

#include "base/log.h"

namespace godwit::log {

// Shows every line at or above a level to somebody else as well, whether or not it is written.
// Called by the thread that logs, many at once; what it logs itself is not shown to it.
using Tap = std::function<void(Level, std::string_view event, Fields)>;

// Replaces the tap; an empty one ends it. Waits until no thread is inside the old one.
void setTap(Level least, Tap tap);

}  // namespace godwit::log
