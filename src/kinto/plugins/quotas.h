#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Limits what buckets and collections hold (quotas.*) and keeps count of it in the store, in the
// transaction of each change. A change that would exceed a limit answers 507; one that frees room
// is always accepted. See docs/decisions/0080-quotas.md.
std::unique_ptr<Plugin> makeQuotasPlugin();

}  // namespace godwit::kinto
