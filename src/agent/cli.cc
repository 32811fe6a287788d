#include "agent/cli.h"

#include <unistd.h>

#include <cstdio>
#include <functional>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/dead_commands.h"
#include "base/log.h"

namespace godwit::agent {
namespace {

constexpr int kOk = 0, kFailed = 1, kUsage = 2, kConfig = 3;

constexpr std::string_view kShort =
    "godwit-agent collects metrics and publishes them without losing one.\n\n"
    "  godwit-agent run                             with defaults: prints what arrives\n"
    "  godwit-agent --config /etc/godwit/agent.ini  with settings\n"
    "  godwit-agent config example                  every setting, explained\n\n"
    "More: godwit-agent --help\n";

constexpr std::string_view kHelp =
    "usage: godwit-agent [run] [--config FILE]      receive and publish until SIGTERM\n"
    "       godwit-agent config check [--config FILE]\n"
    "       godwit-agent config show [--config FILE]    what is in force, and where from\n"
    "       godwit-agent config example                 a file to start from\n"
    "       godwit-agent dead ls [PUBLISHER]            what targets refused for good\n"
    "       godwit-agent dead show PUBLISHER ID...\n"
    "       godwit-agent dead requeue PUBLISHER ID...|all    to that publisher alone\n"
    "       godwit-agent dead drop PUBLISHER ID...|all\n"
    "       godwit-agent cursor ls                      who has read how far\n"
    "       godwit-agent cursor rm NAME                 of a publisher that will not come back\n"
    "       godwit-agent --version\n\n"
    "dead and cursor find the spool through --config FILE, --spool DIR or $GODWIT_SPOOL.\n\n"
    "signals: TERM, INT publish what is there, at most agent.drain_deadline, and exit (again: "
    "exit\n"
    "         now); HUP reads the settings again; USR1 sends and retries now; USR2 logs the "
    "numbers\n"
    "exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong settings\n";

int print(std::string_view text, std::FILE* to, int code) {
  std::fwrite(text.data(), 1, text.size(), to);
  return code;
}

int complain(const std::string& text, int code) {
  return print("godwit-agent: " + text + "\n", stderr, code);
}

struct Options {
  std::string config;
  std::string spool;
  std::vector<std::string> words;
};

// False: `error` says what is wrong.
bool parse(const std::vector<std::string>& args, Options& o, std::string& error) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& a = args[i];
    for (auto [name, target] :
         {std::pair<std::string, std::string*>{"--config", &o.config}, {"--spool", &o.spool}}) {
      if (a == name) {
        if (i + 1 >= args.size()) {
          error = name + " needs a value";
          return false;
        }
        *target = args[++i];
        goto next;
      }
      if (a.starts_with(name + "=")) {
        *target = a.substr(name.size() + 1);
        goto next;
      }
    }
    if (a == "-c" && i + 1 < args.size()) {
      o.config = args[++i];
      continue;
    }
    if (a.size() > 1 && a[0] == '-') {
      error = "unknown option " + a + " (hint: godwit-agent --help)";
      return false;
    }
    o.words.push_back(a);
  next:;
  }
  return true;
}

int configCommand(const Options& o) {
  std::string what = o.words.size() > 1 ? o.words[1] : "";
  if (what == "example") return print(exampleConfig(), stdout, kOk);
  if (what != "check" && what != "show") {
    return complain("config needs check, show or example (hint: godwit-agent --help)", kUsage);
  }
  std::string path = o.words.size() > 2 ? o.words[2] : o.config;
  auto config = loadConfig(path, environ);
  if (!config) {
    return complain(config.error().message +
                        (config.error().detail.empty() ? "" : ": " + config.error().detail),
                    kConfig);
  }
  for (const auto& note : config->notes) print("note: " + note + "\n", stderr, 0);
  if (what == "show") return print(describeConfig(*config), stdout, kOk);
  return print("ok\n", stdout, kOk);
}

int spoolCommand(const Options& o) {
  std::string spool = o.spool;
  if (spool.empty()) {
    auto config = loadConfig(o.config, environ);
    if (!config) return complain(config.error().message, kConfig);
    spool = config->section("spool").text("path");
  }
  if (spool.empty()) spool = spool::defaultSpoolDir();
  if (spool.empty()) return complain("no spool (hint: --spool DIR)", kUsage);
  Result<std::string> r =
      o.words[0] == "dead" ? deadCommand(spool, o.words) : cursorCommand(spool, o.words);
  if (r) return print(*r, stdout, kOk);
  bool usage = r.error().code == ErrorCode::kInvalid;
  return complain(r.error().message + (r.error().detail.empty() ? "" : ": " + r.error().detail),
                  usage ? kUsage : kFailed);
}

}  // namespace

int runCommandLine(const std::vector<std::string>& args) {
  if (args.empty()) return print(kShort, stdout, kUsage);
  for (const auto& a : args) {
    if (a == "--help" || a == "-h" || a == "help") return print(kHelp, stdout, kOk);
    if (a == "--version") return print("godwit-agent " GODWIT_VERSION "\n", stdout, kOk);
  }
  Options o;
  std::string error;
  if (!parse(args, o, error)) return complain(error, kUsage);
  std::string command = o.words.empty() ? "run" : o.words[0];
  if (command == "config") return configCommand(o);
  if (command == "dead" || command == "cursor") return spoolCommand(o);
  if (command != "run" || o.words.size() > 1) {
    std::vector<std::string> known{"run", "config", "dead", "cursor", "help"};
    auto near = nearest(command, known);
    return complain("unknown command '" + command + "'" +
                        (near ? " (did you mean '" + *near + "'?)" : " (hint: --help)"),
                    kUsage);
  }
  auto config = loadConfig(o.config, environ);
  if (!config) {
    return complain(config.error().message +
                        (config.error().detail.empty() ? "" : ": " + config.error().detail),
                    kConfig);
  }
  if (!o.spool.empty()) {
    if (auto r = config->set("spool", "", "path", o.spool, "--spool"); !r) {
      return complain(r.error().message, kConfig);
    }
  }
  Agent agent(std::move(config).value(), o.config);
  return agent.run();
}

}  // namespace godwit::agent
