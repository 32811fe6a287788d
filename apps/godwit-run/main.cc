#include <cstdlib>

#include "supervise/program.h"

namespace __gnu_cxx {
// Replaces the library's handler, which prints the exception's demangled name and brings 40 kB for
// it. Nothing here throws; running out of memory ends in abort either way.
[[noreturn]] void __verbose_terminate_handler() { std::abort(); }  // NOLINT(bugprone-reserved-*)
}  // namespace __gnu_cxx

int main(int argc, char** argv) {
  return godwit::supervise::runProgram(std::vector<std::string>(argv + 1, argv + argc));
}
