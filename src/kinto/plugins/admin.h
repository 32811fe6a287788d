#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// Serves the admin application in the folder `admin_assets_path` under /admin/, with a content
// security policy of its own. Without one, a page that says how to get it.
std::unique_ptr<Plugin> makeAdminPlugin();

}  // namespace godwit::kinto
