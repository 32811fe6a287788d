#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace godwit::supervise {

// This process's children, adopted orphans and zombies included.
std::vector<pid_t> childrenOfSelf();
// Members of the groups led by `leader`, or below it: what a memory limit counts.
std::uint64_t treeRss(pid_t leader);
// True when `pid` is `leader`, in its process group, or a descendant of it.
bool belongsTo(pid_t pid, pid_t leader);
bool isZombie(pid_t pid);
// True when it was started with exactly this "NAME=VALUE" (and may be looked at).
bool hasEnvironment(pid_t pid, std::string_view entry);

}  // namespace godwit::supervise
