#include <array>
#include <ostream>

#include "cli/context.h"

namespace godwit::cli {
namespace {

struct Entry {
  std::string_view command;
  int (*work)(const Context&);
};

constexpr std::array<Entry, 32> kWork = {{{"up", upCommand},
                                          {"reload", reloadCommand},
                                          {"status", statusCommand},
                                          {"down", downCommand},
                                          {"serve", serveCommand},
                                          {"start", serveCommand},
                                          {"config check", configCheck},
                                          {"config show", configShow},
                                          {"config explain", configExplain},
                                          {"config example", configExample},
                                          {"health", healthCommand},
                                          {"init", initCommand},
                                          {"migrate", migrateCommand},
                                          {"create-user", createUserCommand},
                                          {"flush-cache", flushCacheCommand},
                                          {"purge-deleted", purgeDeletedCommand},
                                          {"rebuild-quotas", rebuildQuotasCommand},
                                          {"copy", copyCommand},
                                          {"backup", backupCommand},
                                          {"restore", restoreCommand},
                                          {"export", exportCommand},
                                          {"import", importCommand},
                                          {"user add", userAdd},
                                          {"user passwd", userPasswd},
                                          {"user list", userList},
                                          {"user rm", userRemove},
                                          {"purge tombstones", purgeCommand},
                                          {"purge history", purgeCommand},
                                          {"doctor", doctorCommand},
                                          {"completion", completionCommand},
                                          {"man", manCommand},
                                          {"version", versionCommand}}};

}  // namespace

int run(const std::vector<std::string>& arguments, const char* const* env, Terminal& terminal,
        const Programs& programs) {
  Understood u = understand(arguments);
  terminal.out << u.out;
  terminal.err << u.err;
  int code = u.code;
  if (u.invocation) {
    Context context(*u.invocation, env, terminal, programs);
    for (const Entry& e : kWork) {
      if (e.command == u.invocation->command) code = e.work(context);
    }
  }
  terminal.out.flush();
  // A full disk or a closed pipe must not look like success.
  if (!terminal.out && code == kExitOk) {
    terminal.err << "godwit: cannot write to standard output\n";
    code = kExitFailed;
  }
  return code;
}

}  // namespace godwit::cli
