#include "base/os_error.h"

#include <system_error>

namespace godwit {

std::string errnoText(int err) { return std::generic_category().message(err); }

Error osError(std::string_view what, int err) {
  std::string text = errnoText(err);
  return Error(ErrorCode::kOs, "cannot " + std::string(what) + ": " + text);
}

}  // namespace godwit
