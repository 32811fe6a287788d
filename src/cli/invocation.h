#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/settings.h"

namespace godwit::cli {

enum class ColorChoice : std::uint8_t { kAuto, kAlways, kNever };

// A command line, understood.
struct Invocation {
  std::string command;  // "serve", "config show"
  std::string ini;      // "" when not given
  std::vector<kinto::SettingsInput::Flag> flags;
  std::vector<std::string> arguments;  // what stands without a dash
  ColorChoice color = ColorChoice::kAuto;
  bool quiet = false;
  bool verbose = false;
  bool json = false;
  bool all = false;  // config show
  bool dry_run = false;
  bool reload = false;  // start
  std::string url;      // health
  std::string timeout = "5s";
  std::string patience = "120s";  // reload, down
  std::string backend;            // init
  std::string cache_backend;
  std::string host;
  std::string state_dir;  // up, reload, status, down
  std::string port;       // up
  std::string admin_port;
  std::string metrics_port;
  bool detach = false;
  bool wait = false;                    // reload
  bool watch = false;                   // status
  bool replace = false;                 // init
  std::optional<std::string> username;  // create-user
  std::optional<std::string> password;
  std::uint64_t max_retained = 0;  // purge-deleted
  std::string from;                // copy, export
  std::string to;                  // copy, import
  std::string auth;                // export, import
  std::string to_auth;             // import
  bool without_permissions = false;
  bool yes = false;     // whatever destroys something
  bool verify = false;  // restore
  std::string before;   // purge
};

// Either something to do, or what to print instead (help, a complaint) and the exit code.
struct Understood {
  std::optional<Invocation> invocation;
  int code = 0;
  std::string out;
  std::string err;
};

Understood understand(const std::vector<std::string>& arguments);

// An option of a command, as its help shows it.
struct FlagText {
  std::string names;  // "-q,--quiet"
  std::string value;  // "FILE"; "" for a switch
  std::string help;
};
// Those of every command (--help, --color ...) are left out.
std::vector<FlagText> flagsOf(std::string_view command);

}  // namespace godwit::cli
