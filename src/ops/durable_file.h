#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::ops {

Result<void> writeAll(int fd, std::string_view bytes);
// Renames and writes the folder to the disk. The file's contents are there already (fsync).
Result<void> renameDurably(const std::string& from, const std::string& to);
Result<void> syncFolderOf(const std::string& path);
// "" for the folder itself becomes ".".
std::string folderOf(const std::string& path);

}  // namespace godwit::ops
