#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// sentry_dsn: reports requests that end with 500 and log lines at or above a level to Sentry, off
// the request path. Headers, bodies and what looks like a secret are never sent.
std::unique_ptr<Plugin> makeSentryPlugin();

}  // namespace godwit::kinto
