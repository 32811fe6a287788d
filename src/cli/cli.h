#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/exit_codes.h"
#include "kinto/server.h"

namespace godwit::cli {

// What the commands do in the end. A command whose function is empty says that this build lacks it.
struct Programs {
  decltype(&kinto::serve) serve = nullptr;
  decltype(&kinto::rehearse) rehearse = nullptr;
  decltype(&kinto::migrate) migrate = nullptr;
  decltype(&kinto::flushCache) flush_cache = nullptr;
  decltype(&kinto::createUser) create_user = nullptr;
  decltype(&kinto::purgeDeleted) purge_deleted = nullptr;
  decltype(&kinto::rebuildQuotas) rebuild_quotas = nullptr;
};

// Where a command reads and writes. Data goes to `out`, talk to `err`.
struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

// The whole program: reads the command line, does it, returns an ExitCode. `env` as environ(7).
int run(const std::vector<std::string>& arguments, const char* const* env, Terminal& terminal,
        const Programs& programs);

}  // namespace godwit::cli
