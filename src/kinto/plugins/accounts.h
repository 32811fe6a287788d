#pragma once

#include <memory>

#include "kinto/plugin.h"

namespace godwit::kinto {

// User accounts with passwords: the resource /accounts and the policy that checks credentials
// against it. Needs a multiauth policy whose `use` names AccountsPolicy.
std::unique_ptr<Plugin> makeAccountsPlugin();

}  // namespace godwit::kinto
