#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/types.h"

namespace godwit::kinto {

// Who has `permission`; nullptr when nothing is said about it.
inline std::vector<std::string>* principalsOf(store::Permissions& permissions,
                                              std::string_view permission) {
  for (auto& [name, principals] : permissions) {
    if (name == permission) return &principals;
  }
  return nullptr;
}

}  // namespace godwit::kinto
