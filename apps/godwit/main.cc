#include <unistd.h>

#include <iostream>

#include "cli/cli.h"

int main(int argc, char** argv) {
  using namespace godwit;
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  cli::Terminal terminal{std::cin,         std::cout,        std::cerr,
                         ::isatty(0) == 1, ::isatty(1) == 1, ::isatty(2) == 1};
  cli::Programs programs;
  programs.serve = kinto::serve;
  return cli::run(arguments, environ, terminal, programs);
}
