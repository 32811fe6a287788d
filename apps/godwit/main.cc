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
  programs.rehearse = kinto::rehearse;
  programs.migrate = kinto::migrate;
  programs.flush_cache = kinto::flushCache;
  programs.create_user = kinto::createUser;
  programs.purge_deleted = kinto::purgeDeleted;
  programs.rebuild_quotas = kinto::rebuildQuotas;
  return cli::run(arguments, environ, terminal, programs);
}
