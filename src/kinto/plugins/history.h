#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Keeps an entry for every change of a bucket, group, collection or record, in the transaction of
// the change, and serves them below their bucket; also a collection as it was at a given time.
std::unique_ptr<Plugin> makeHistoryPlugin();

}  // namespace godwit::kinto
