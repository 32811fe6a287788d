#pragma once

#include <string>
#include <string_view>

#include "kinto/config.h"

namespace godwit::kinto {

[[nodiscard]] bool validId(IdKind kind, std::string_view id);
std::string makeId(IdKind kind);

}  // namespace godwit::kinto
