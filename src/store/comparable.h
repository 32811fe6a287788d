#pragma once

#include <string>

#include "store/types.h"

namespace godwit::store {

// A text that two objects share exactly when they are the same: id, timestamp, tombstone or not,
// and data, however a backend prints its numbers and orders its members. Any thread.
std::string comparable(const Object& object);

}  // namespace godwit::store
