#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::supervise {

// A whole file of at most `limit` bytes. Pipes and devices are not waited for.
Result<std::string> readText(const std::string& path, std::size_t limit = 1 << 20);

// Each line without its end, until `line` returns true. True when it did.
bool eachLine(std::string_view text, const std::function<bool(std::string_view)>& line);

}  // namespace godwit::supervise
