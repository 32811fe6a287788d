#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"
#include "cli/invocation.h"
#include "kinto/settings.h"

namespace godwit::cli {

// One command at work.
class Context {
 public:
  Context(const Invocation& invocation, const char* const* env, Terminal& terminal,
          const Programs& programs);

  const Invocation& in;
  Terminal& terminal;
  const Programs& programs;

  // Talk for people, to standard error, unless --quiet.
  void say(std::string_view line) const;
  [[nodiscard]] bool talksToTerminal() const { return terminal.err_is_terminal && !in.quiet; }
  // "godwit: cannot <what>: <why>", to standard error; returns `code`.
  int fail(std::string_view what, std::string_view why, int code = kExitFailed) const;
  void warn(std::string_view line) const;
  // Data, to standard output, with a line end.
  void print(std::string_view line) const;
  // Wraps in colour when standard output (or error) shows colours.
  [[nodiscard]] std::string bold(std::string_view text) const;
  [[nodiscard]] std::string dim(std::string_view text) const;
  [[nodiscard]] bool colorsOut() const { return colorOn(terminal.out_is_terminal); }

  [[nodiscard]] std::string variable(std::string_view name) const;  // environment; "" when unset
  // The file a command reads: --ini, else $KINTO_INI; with `kintos_default` else config/kinto.ini.
  [[nodiscard]] std::string iniPath(bool kintos_default) const;
  [[nodiscard]] kinto::SettingsInput settingsInput(bool kintos_default) const;
  // Says what is wrong when it fails; the exit code is then kExitConfig.
  [[nodiscard]] std::optional<kinto::Settings> loadSettings(bool kintos_default) const;

 private:
  [[nodiscard]] bool colorOn(bool is_terminal) const;
  const char* const* environ_;
};

// The commands. Each returns an ExitCode.
int upCommand(const Context& context);
int reloadCommand(const Context& context);
int statusCommand(const Context& context);
int downCommand(const Context& context);
int serveCommand(const Context& context);
int configCheck(const Context& context);
int configShow(const Context& context);
int configExplain(const Context& context);
int configExample(const Context& context);
int healthCommand(const Context& context);
int initCommand(const Context& context);
int migrateCommand(const Context& context);
int createUserCommand(const Context& context);
int flushCacheCommand(const Context& context);
int purgeDeletedCommand(const Context& context);
int rebuildQuotasCommand(const Context& context);
int copyCommand(const Context& context);
int backupCommand(const Context& context);
int restoreCommand(const Context& context);
int exportCommand(const Context& context);
int importCommand(const Context& context);
int userAdd(const Context& context);
int userPasswd(const Context& context);
int userList(const Context& context);
int userRemove(const Context& context);
int purgeCommand(const Context& context);
int doctorCommand(const Context& context);
int completionCommand(const Context& context);
int manCommand(const Context& context);
int versionCommand(const Context& context);

std::string reasonOf(const Error& error);  // its message and, for people who run things, its detail
std::string programVersion();              // "0.1.0"

// A configuration file with every setting of the table, all commented out but those of `active`
// (key and value).
std::string configurationText(const std::vector<std::pair<std::string, std::string>>& active = {});

}  // namespace godwit::cli
