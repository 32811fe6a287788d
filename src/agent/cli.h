// The command line of godwit-agent. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong settings.
#pragma once

#include <string>
#include <vector>

namespace godwit::agent {

int runCommandLine(const std::vector<std::string>& arguments);

}  // namespace godwit::agent
