#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// GET /permissions: everything the user was given some permission on, by ACEs and by settings.
std::unique_ptr<Plugin> makePermissionsPlugin();

}  // namespace godwit::kinto
