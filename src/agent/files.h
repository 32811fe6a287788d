// Whole small files. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::agent {

// nullopt: cannot be read. At most `limit` bytes.
std::optional<std::string> readFile(const std::string& path, std::size_t limit = 512u << 20);
// Written beside, flushed, renamed, the directory flushed: after a crash either the old or the new
// content is there.
Result<> writeFileDurably(const std::string& path, std::string_view content);

}  // namespace godwit::agent
