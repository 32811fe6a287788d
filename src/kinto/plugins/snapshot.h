#pragma once

#include <memory>

#include "kinto/route.h"

namespace godwit::kinto {

// GET /buckets/{b}/snapshot/collections/{c}@{timestamp}: the records as they were at that time, put
// together from what has not changed since and from the history.
std::unique_ptr<Route> makeSnapshotRoute();

}  // namespace godwit::kinto
