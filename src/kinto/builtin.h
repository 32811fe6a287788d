#pragma once

#include <memory>

#include "kinto/route.h"

namespace godwit::kinto {

// The endpoints that are no resources and need no plugin.
std::unique_ptr<Route> makeHelloRoute();
std::unique_ptr<Route> makeHeartbeatRoute();
std::unique_ptr<Route> makeLbHeartbeatRoute();
std::unique_ptr<Route> makeVersionRoute(const Config& config);
std::unique_ptr<Route> makeBatchRoute();
std::unique_ptr<Route> makeContributeRoute();
std::unique_ptr<Route> makeOpenApiRoute();

}  // namespace godwit::kinto
