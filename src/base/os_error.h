#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit {

// "cannot <what>: <strerror>", code kOs. `what` is a verb and its object: "open /x".
Error osError(std::string_view what, int err = errno);
std::string errnoText(int err);  // "No such file or directory"; thread safe

}  // namespace godwit
