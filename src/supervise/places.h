#pragma once

#include <string>
#include <vector>

#include "godwit/result.h"
#include "supervise/options.h"

namespace godwit::supervise {

// Where sockets of instances live: $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR, /run for root, else a
// private directory below /tmp, made if need be.
Result<std::string> runtimeBase();
// Every directory a client may find control sockets in.
std::vector<std::string> runtimeBases();
std::string controlPath(const std::string& base, const std::string& name);

// Makes paths independent of the working directory, which the supervisor leaves.
void makeAbsolute(Settings& settings, const std::string& cwd);
std::string absolutePath(const std::string& path, const std::string& cwd);
// The same for the file that --config names in a command line: it is read again from elsewhere.
void makeConfigAbsolute(std::vector<std::string>& args, const std::string& cwd);

// A private directory for notify and probe sockets. `others`: children of another user must reach
// the sockets in it (which only they may open).
Result<std::string> makePrivateDir(const std::string& path, bool others);
void removePrivateDir(const std::string& path);

}  // namespace godwit::supervise
