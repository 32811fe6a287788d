#pragma once

#include <string>
#include <vector>

namespace godwit::supervise {

// All of godwit-run; `args` without argv[0]. Returns the exit code.
int runProgram(const std::vector<std::string>& args);

}  // namespace godwit::supervise
