// The only file that knows CLI11.
#include <CLI/CLI.hpp>

#include <map>

#include "base/options.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/invocation.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

using Flag = kinto::SettingsInput::Flag;

class Grammar {
 public:
  Grammar() : app_("Godwit: a JSON store that speaks Kinto's HTTP API.", "godwit") {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", std::string());  // handled before
    std::map<std::string_view, CLI::App*> parents;
    for (const Command& g : groups()) {
      parents[g.name] = app_.add_subcommand(std::string(g.name), std::string(g.summary));
      parents[g.name]->require_subcommand(1);
    }
    for (const Command& c : commands()) {
      std::string_view group = groupOf(c.name);
      CLI::App* parent = group.empty() ? &app_ : parents.at(group);
      std::string_view word = group.empty() ? c.name : c.name.substr(group.size() + 1);
      CLI::App* command = parent->add_subcommand(std::string(word), std::string(c.summary));
      describe(std::string(c.name), *command);
      apps_.emplace_back(std::string(c.name), command);
    }
  }

  std::vector<FlagText> flags(std::string_view command) {
    std::vector<FlagText> out;
    for (auto& [name, app] : apps_) {
      if (name != command) continue;
      for (const CLI::Option* o : app->get_options()) {
        if (o->get_positional()) continue;
        bool common = false;
        for (const char* c : {"help", "color", "quiet", "verbose"}) common |= o->check_lname(c);
        if (common) continue;
        FlagText& f = out.emplace_back();
        f.names = o->get_name(false, true);
        f.value = o->get_items_expected_max() == 0 ? "" : o->get_option_text();
        f.help = o->get_description();
      }
    }
    return out;
  }

  Understood parse(std::vector<std::string> arguments) {
    Understood u;
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
      u.out = chosen()->help(pathOf(chosen()->get_parent()));
      return u;
    } catch (const CLI::ParseError& e) {
      u.code = kExitUsage;
      u.err = complaint(e);
      return u;
    }
    for (auto& [name, app] : apps_) {
      if (app->parsed()) in_.command = name;
    }
    if (color_ == "always") in_.color = ColorChoice::kAlways;
    if (color_ == "never") in_.color = ColorChoice::kNever;
    in_.verbose = verbose_;
    for (const std::string& s : sets_) {
      std::size_t eq = s.find('=');
      if (eq == std::string::npos || eq == 0) {
        u.code = kExitUsage;
        u.err = "godwit: --set takes KEY=VALUE, not '" + s + "'\n";
        return u;
      }
      std::string key = s.substr(0, eq);
      if (key.compare(0, 6, "kinto.") == 0) key.erase(0, 6);
      in_.flags.push_back({key, s.substr(eq + 1), "--set"});
    }
    for (Flag& f : table_flags_) {
      if (!f.value.empty()) in_.flags.push_back(f);
    }
    u.invocation = std::move(in_);
    return u;
  }

 private:
  void describe(const std::string& name, CLI::App& app) {
    app.add_option("--color", color_, "Colour: auto, always or never [auto]")
        ->check(CLI::IsMember({"auto", "always", "never"}))
        ->option_text("WHEN");
    app.add_flag("-q,--quiet", in_.quiet, "Say only what is wrong");
    app.add_flag("-v,--verbose,--debug", verbose_, "Say everything");
    if (name == "help") {
      app.add_option("command", in_.arguments, "The command to explain");
      return;
    }
    if (name == "version") {
      app.add_flag("--json", in_.json, "Print JSON");
      app.add_option("--ini", in_.ini, "Accepted for Kinto's sake")->option_text("FILE");
      return;
    }
    if (name == "man") return;
    if (name == "completion") {
      app.add_option("shell", in_.arguments, "bash, zsh or fish")->required()->option_text("SHELL");
      return;
    }
    if (name == "up" || name == "reload" || name == "status" || name == "down") {
      return describeStack(name, app);
    }
    app.add_option("--ini", in_.ini,
                   "Configuration file (else $KINTO_INI" +
                       std::string(isKintos(name) ? ", else config/kinto.ini)" : ")"))
        ->option_text("FILE");
    if (name == "serve" || name == "start") serving(name, app);
    if (name.compare(0, 7, "config ") == 0 || name == "health") {
      app.add_flag("--json", in_.json, "Print JSON");
      app.add_option("--set", sets_, "Override a setting, as KEY=VALUE")->option_text("KEY=VALUE");
    }
    if (name == "config show") {
      app.add_flag("--all", in_.all, "Also what is at its default");
      app.add_option("key", in_.arguments, "Only these settings")->option_text("[KEY...]");
    }
    if (name == "config explain") {
      app.add_option("key", in_.arguments, "The settings to explain")
          ->required()
          ->option_text("KEY...");
    }
    if (name == "health") {
      app.add_option("--url", in_.url, "Server to ask, as http://host:port/v1/ or unix:/path")
          ->option_text("URL");
      app.add_option("--timeout", in_.timeout,
                     "How long to wait for the answer [" + in_.timeout + "]")
          ->option_text("DURATION");
    }
    if (name == "init") {
      app.add_option("--backend", in_.backend, "Store: sqlite, memory or postgresql [sqlite]")
          ->check(CLI::IsMember({"sqlite", "memory", "postgresql"}))
          ->option_text("NAME");
      app.add_option("--cache-backend", in_.cache_backend,
                     "Cache: sqlite, memory, postgresql, redis or memcached [as the store]")
          ->check(CLI::IsMember({"sqlite", "memory", "postgresql", "redis", "memcached"}))
          ->option_text("NAME");
      app.add_option("--host", in_.host, "Address to listen on [127.0.0.1]")->option_text("HOST");
      app.add_flag("--replace", in_.replace,
                   "Take the place of a file that is there, which is kept as FILE.1; its godwit.* "
                   "settings are taken over");
    }
    if (name == "migrate" || name == "rebuild-quotas") {
      app.add_flag("--dry-run", in_.dry_run, "Only say what would be done");
    }
    if (name == "create-user") {
      app.add_option("-u,--username", in_.username, "Name of the account")->option_text("NAME");
      app.add_option("-p,--password", in_.password,
                     "Its password (asked for when not given, so that it stays out of ps)")
          ->option_text("PASSWORD");
    }
    describeOps(name, app);
    if (name == "purge-deleted") {
      app.add_option("arguments", in_.arguments,
                     "Resources (such as record bucket group), then how many tombstones of each "
                     "list to keep")
          ->required()
          ->option_text("RESOURCE... MAX_RETAINED");
    }
  }

  // Commands that look after the data.
  void describeOps(const std::string& name, CLI::App& app) {
    auto is = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    bool user = groupOf(name) == "user";
    bool purge = groupOf(name) == "purge";
    bool moves = is({"copy", "export", "import"});
    if (!user && !purge && !moves && !is({"backup", "restore", "doctor"})) return;
    app.add_option("--set", sets_, "Override a setting, as KEY=VALUE")->option_text("KEY=VALUE");
    app.add_option_function<std::string>(
           "--data-dir",
           [this](const std::string& value) {
             table_flags_.push_back({"godwit.data_dir", value, "--data-dir"});
           },
           "Folder of the SQLite file [~/.local/state/godwit]")
        ->option_text("PATH");
    if (!is({"user add", "user passwd"})) app.add_flag("--json", in_.json, "Print JSON");
    if (is({"copy", "import", "restore", "user rm"}) || purge) {
      app.add_flag("--dry-run", in_.dry_run, "Only say what would be done");
    }
    if (is({"backup", "restore", "export", "user rm"}) || purge) {
      app.add_flag("--yes", in_.yes,
                   is({"backup", "export"}) ? "Replace a file of that name" : "Do not ask");
    }
    if (is({"copy", "export"})) {
      app.add_option("--from", in_.from, placeHelp(name, "read"))->option_text("URL");
    }
    if (is({"copy", "import"})) {
      app.add_option("--to", in_.to, placeHelp(name, "write"))->option_text("URL");
    }
    if (is({"export", "import"})) {
      app.add_option("--auth", in_.auth,
                     "For a server: USER:PASSWORD, USER (the password is asked for), or a whole "
                     "header value such as 'Bearer TOKEN' (else $GODWIT_AUTH)")
          ->option_text("CREDENTIALS");
      app.add_flag("--no-permissions", in_.without_permissions,
                   "Leave out who may do what (faster over HTTP)");
      app.add_option("file", in_.arguments,
                     name == "export" ? "File to write, - for standard output"
                                      : "File to read, - for standard input, or a server's URL")
          ->required()
          ->expected(1)
          ->option_text(name == "export" ? "FILE" : "FILE|URL");
    }
    if (name == "import") {
      app.add_option("--to-auth", in_.to_auth, "For the server written to, when both are servers")
          ->option_text("CREDENTIALS");
    }
    if (is({"backup", "restore"})) {
      app.add_option("file", in_.arguments, name == "backup" ? "File to write" : "Backup to read")
          ->required()
          ->expected(1)
          ->option_text("FILE");
    }
    if (name == "restore") {
      app.add_flag("--verify", in_.verify, "Only check the backup");
    }
    if (is({"user add", "user passwd", "user rm"})) {
      app.add_option("name", in_.arguments, "Name of the account")
          ->required()
          ->expected(1)
          ->option_text("NAME");
    }
    if (purge) {
      app.add_option("--before", in_.before,
                     "Only what is older: an age such as 90d, a date such as 2026-01-31, or "
                     "milliseconds since 1970")
          ->option_text("WHEN");
    }
  }

  void describeStack(const std::string& name, CLI::App& app) {
    app.add_option("--state-dir", in_.state_dir,
                   "Folder of settings and data (else $GODWIT_STATE_DIR, /var/lib/godwit as root, "
                   "$XDG_STATE_HOME/godwit, ~/.local/state/godwit)")
        ->option_text("DIR");
    if (name == "up") {
      app.add_option("--host", in_.host, "Address to listen on [127.0.0.1]")->option_text("HOST");
      app.add_option("--port", in_.port, "TCP port [8888]")->option_text("N");
      app.add_option("--admin-port", in_.admin_port, "Port of the status page [8889]")
          ->option_text("N");
      app.add_option("--metrics-port", in_.metrics_port, "Port of the agent [8135]")
          ->option_text("N");
      app.add_flag("--detach", in_.detach, "Return when it is ready; output to godwit.log");
      app.add_flag("--dry-run", in_.dry_run, "Write the files, say what would be started");
      return;
    }
    app.add_option("--timeout", name == "status" ? in_.timeout : in_.patience,
                   "How long to wait [" + (name == "status" ? in_.timeout : in_.patience) + "]")
        ->option_text("DURATION");
    if (name == "down") return;
    app.add_flag("--json", in_.json, "Print JSON");
    if (name == "status") app.add_flag("--watch", in_.watch, "Show it every second until Ctrl-C");
    if (name == "reload") {
      app.add_flag("--wait", in_.wait, "Return when it has ended; exit code 1 when it failed");
      app.add_option("service", in_.arguments, "Only this: server or agent")
          ->option_text("[SERVICE]");
    }
  }

  static std::string placeHelp(const std::string& command, const std::string& verb) {
    if (command == "copy") {
      return "Store to " + verb + ": sqlite:PATH or postgresql://... (else the configured one)";
    }
    return "What to " + verb +
           ": http://host:port/v1, unix:PATH, sqlite:PATH or postgresql://... (else the configured "
           "store)";
  }

  static bool isKintos(const std::string& name) {
    for (const char* k : {"start", "init", "migrate", "flush-cache", "create-user", "purge-deleted",
                          "rebuild-quotas"}) {
      if (name == k) return true;
    }
    return false;
  }

  void serving(const std::string& name, CLI::App& app) {
    app.add_option("--set", sets_, "Override a setting, as KEY=VALUE")->option_text("KEY=VALUE");
    if (name == "start") app.add_flag("--reload", in_.reload, "Accepted for Kinto's sake");
    for (const OptionDef& o : kinto::options()) {
      if (o.flag.empty()) continue;
      std::string help(o.help);
      help.pop_back();
      if (o.has_fallback && !o.fallback.empty()) help += " [" + std::string(o.fallback) + "]";
      std::string key(o.key);
      std::string flag(o.flag);
      app.add_option_function<std::string>(
             flag,
             [this, key, flag](const std::string& value) {
               table_flags_.push_back({key, value, flag});
             },
             help)
          ->option_text(std::string(typeName(o)));
    }
  }

  static std::string_view typeName(const OptionDef& o) {
    switch (o.type) {
      case OptionType::kBool:
        return "BOOL";
      case OptionType::kInt:
      case OptionType::kNumber:
        return "N";
      case OptionType::kDuration:
        return "DURATION";
      case OptionType::kSize:
        return "SIZE";
      case OptionType::kPath:
        return "PATH";
      case OptionType::kUrl:
        return "URL";
      case OptionType::kChoice:
        return "NAME";
      case OptionType::kList:
      case OptionType::kString:
        break;
    }
    return "TEXT";
  }

  // The deepest command the arguments named.
  CLI::App* chosen() {
    CLI::App* app = &app_;
    for (auto subs = app->get_subcommands(); !subs.empty(); subs = app->get_subcommands()) {
      app = subs.front();
    }
    return app;
  }

  // "godwit config show"; "" for no command.
  static std::string pathOf(const CLI::App* app) {
    if (app == nullptr) return "";
    std::string above = pathOf(app->get_parent());
    return above.empty() ? app->get_name() : above + " " + app->get_name();
  }

  std::string complaint(const CLI::ParseError& e) {
    CLI::App* app = chosen();
    std::string name = pathOf(app);
    std::vector<std::string> extra = app_.remaining(true);
    if (!extra.empty()) {
      std::string word = extra.front().substr(0, extra.front().find('='));
      std::vector<std::string> names;
      for (const CLI::Option* o : app->get_options()) {
        for (const std::string& l : o->get_lnames()) names.push_back("--" + l);
      }
      std::vector<std::string_view> views(names.begin(), names.end());
      std::string_view near = word[0] == '-' ? nearest(word, views) : std::string_view();
      return name + ": unknown argument '" + word + "'" +
             (near.empty() ? " (hint: " + name + " --help)"
                           : " (did you mean " + std::string(near) + "?)") +
             "\n";
    }
    return name + ": " + e.what() + " (hint: " + name + " --help)\n";
  }

  CLI::App app_;
  std::vector<std::pair<std::string, CLI::App*>> apps_;
  Invocation in_;
  std::string color_;
  bool verbose_ = false;
  std::vector<std::string> sets_;
  std::vector<Flag> table_flags_;
};

}  // namespace

std::vector<FlagText> flagsOf(std::string_view command) { return Grammar().flags(command); }

Understood understand(const std::vector<std::string>& arguments) {
  Understood u;
  std::string first = arguments.empty() ? "help" : arguments[0];
  if (first == "-h" || first == "--help") first = "help";
  if (first == "-V" || first == "--version") {
    u.invocation.emplace().command = "version";
    return u;
  }
  if (first == "help") {
    if (arguments.size() < 2 || arguments[1][0] == '-') {
      u.out = shortHelp();
      return u;
    }
    std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    rest.emplace_back("--help");
    return understand(rest);
  }
  if (std::string why = whyNoCommand(arguments); !why.empty()) {
    u.code = kExitUsage;
    u.err = std::move(why);
    return u;
  }
  return Grammar().parse(arguments);
}

}  // namespace godwit::cli
