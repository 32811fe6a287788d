#include <istream>
#include <ostream>

#include "cli/context.h"
#include "cli/prompt.h"

namespace godwit::cli {
namespace {

constexpr char kNotBuilt[] = "not part of this build";

}  // namespace

int migrateCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (context.programs.migrate == nullptr) return context.fail("migrate", kNotBuilt);
  if (isReadonly(*settings)) {
    context.warn("Cannot migrate the storage and permission backends while in readonly mode.");
    return kExitOk;  // as Kinto
  }
  auto done = context.programs.migrate(*settings, context.in.dry_run);
  if (!done.ok()) return context.fail("migrate", reasonOf(done.error()));
  for (const std::string& line : *done) context.print(line);
  return kExitOk;
}

int flushCacheCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (context.programs.flush_cache == nullptr) return context.fail("flush the cache", kNotBuilt);
  auto done = context.programs.flush_cache(*settings);
  if (!done.ok()) return context.fail("flush the cache", reasonOf(done.error()));
  context.say("Cache has been cleared.");
  return kExitOk;
}

int createUserCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (isReadonly(*settings)) {
    return context.fail("create a user", "the server is readonly", kExitReadonly);
  }
  if (!includes(*settings, "accounts")) {
    return context.fail("create a user",
                        "the accounts plugin is not switched on (hint: kinto.includes = "
                        "kinto.plugins.accounts)",
                        kExitNoAccounts);
  }
  auto aborted = [&] {
    context.say("User creation aborted");
    return kExitAborted;
  };
  auto name = context.in.username;
  if (!name) name = ask(context, "Username: ", false);
  while (name && !isAccountName(*name)) {
    context.terminal.err << "'" << *name << "' is not a valid username: it starts with a letter or "
                         << "digit and holds only letters, digits and _-+.@\n";
    name = ask(context, "Username: ", false);
  }
  if (!name) return aborted();
  auto password = context.in.password;
  if (!password) password = askPassword(context, *name);
  if (!password) return aborted();
  if (context.programs.create_user == nullptr) return context.fail("create a user", kNotBuilt);
  auto done = context.programs.create_user(*settings, *name, *password);
  if (!done.ok()) return context.fail("create user " + *name, reasonOf(done.error()));
  context.say("Created user '" + *name + "' (account:" + *name + ")");
  return kExitOk;
}

int purgeDeletedCommand(const Context& context) {
  std::vector<std::string> resources = context.in.arguments;
  std::optional<std::int64_t> keep;
  if (!resources.empty()) keep = parseInt(resources.back());
  if (resources.size() < 2 || !keep || *keep < 0) {
    context.terminal.err << "godwit purge-deleted: expecting RESOURCE... MAX_RETAINED, such as "
                            "'record 1000'\n";
    return kExitUsage;
  }
  resources.pop_back();
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (context.programs.purge_deleted == nullptr) return context.fail("purge", kNotBuilt);
  auto gone =
      context.programs.purge_deleted(*settings, resources, static_cast<std::uint64_t>(*keep));
  if (!gone.ok()) return context.fail("purge tombstones", reasonOf(gone.error()));
  context.say(std::to_string(*gone) + " tombstone(s) deleted.");
  return kExitOk;
}

int rebuildQuotasCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (isReadonly(*settings)) {
    return context.fail("rebuild quotas", "the server is readonly", kExitQuotasReadonly);
  }
  if (!includes(*settings, "quotas")) {
    return context.fail("rebuild quotas",
                        "the quotas plugin is not switched on (hint: kinto.includes = "
                        "kinto.plugins.quotas)",
                        kExitNoQuotas);
  }
  if (context.programs.rebuild_quotas == nullptr) return context.fail("rebuild quotas", kNotBuilt);
  auto done = context.programs.rebuild_quotas(*settings, context.in.dry_run);
  if (!done.ok()) return context.fail("rebuild quotas", reasonOf(done.error()));
  for (const std::string& line : *done) context.print(line);
  return kExitOk;
}

}  // namespace godwit::cli
