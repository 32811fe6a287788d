#include <termios.h>
#include <unistd.h>

#include <istream>
#include <ostream>

#include "cli/context.h"

namespace godwit::cli {
namespace {

constexpr char kNotBuilt[] = "not part of this build";

bool isAccountName(std::string_view name) {
  auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > 255 || !alnum(name[0])) return false;
  for (char c : name) {
    if (!alnum(c) && std::string_view("_-+.@").find(c) == std::string_view::npos) return false;
  }
  return true;
}

// Switches the echo of the terminal off while it lives.
class Silence {
 public:
  explicit Silence(bool on) : on_(on && ::tcgetattr(0, &before_) == 0) {
    if (!on_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(0, TCSAFLUSH, &quiet);
  }
  ~Silence() {
    if (on_) ::tcsetattr(0, TCSAFLUSH, &before_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  termios before_{};
  bool on_;
};

std::optional<std::string> ask(const Context& context, std::string_view prompt, bool secret) {
  context.terminal.err << prompt << std::flush;
  Silence silence(secret && context.terminal.in_is_terminal);
  std::string line;
  if (!std::getline(context.terminal.in, line)) return std::nullopt;
  if (secret) context.terminal.err << '\n';
  return line;
}

std::optional<std::string> askPassword(const Context& context, const std::string& name) {
  for (;;) {
    auto first = ask(context, "Please enter a password for " + name + ": ", true);
    if (!first) return std::nullopt;
    auto second = ask(context, "Please confirm the password: ", true);
    if (!second) return std::nullopt;
    if (*first == *second && !first->empty()) return first;
    context.terminal.err << (first->empty()
                                 ? "Sorry, an empty password is none, please try again.\n"
                                 : "Sorry, passwords do not match, please try again.\n");
  }
}

bool isReadonly(const kinto::Settings& settings) { return settings.getBool("readonly"); }

bool hasAccounts(const kinto::Settings& settings) {
  for (const std::string& plugin : settings.getList("includes")) {
    if (plugin == "kinto.plugins.accounts" || plugin == "accounts") return true;
  }
  return false;
}

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
  if (!done.ok()) return context.fail("migrate", done.error().message);
  for (const std::string& line : *done) context.print(line);
  return kExitOk;
}

int flushCacheCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (context.programs.flush_cache == nullptr) return context.fail("flush the cache", kNotBuilt);
  auto done = context.programs.flush_cache(*settings);
  if (!done.ok()) return context.fail("flush the cache", done.error().message);
  context.say("Cache has been cleared.");
  return kExitOk;
}

int createUserCommand(const Context& context) {
  auto settings = context.loadSettings(true);
  if (!settings) return kExitConfig;
  if (isReadonly(*settings)) {
    return context.fail("create a user", "the server is readonly", kExitReadonly);
  }
  if (!hasAccounts(*settings)) {
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
  if (!done.ok()) return context.fail("create user " + *name, done.error().message);
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
  if (!gone.ok()) return context.fail("purge tombstones", gone.error().message);
  context.say(std::to_string(*gone) + " tombstone(s) deleted.");
  return kExitOk;
}

}  // namespace godwit::cli
