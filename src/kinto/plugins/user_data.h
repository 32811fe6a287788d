#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// DELETE /__user_data__/{principal}: deletes what only that principal may write, and takes the
// principal out of everything else. For those whom user-data_delete_principals names.
std::unique_ptr<Plugin> makeUserDataPlugin();

}  // namespace godwit::kinto
