#pragma once

#include <optional>
#include <string>

#include "cli/context.h"
#include "godwit/deadline.h"
#include "godwit/result.h"
#include "json/value.h"

// The stack that `godwit up` starts: server and agent under godwit-run, in one folder.
namespace godwit::cli {

struct StackPlaces {
  std::string folder;   // absolute
  std::string ini;      // settings of the server
  std::string agent;    // settings of the agent
  std::string conf;     // services of godwit-run
  std::string control;  // its socket
  std::string spool;
  std::string metrics_log;
  std::string log;  // output when detached

  explicit StackPlaces(std::string state_folder);
};

// --state-dir, $GODWIT_STATE_DIR, /var/lib/godwit as root, else $XDG_STATE_HOME/godwit or
// ~/.local/state/godwit. Creates nothing.
Result<StackPlaces> stackPlaces(const Context& context);

// A program that stands next to this one, else the one in $PATH; "" when there is none.
std::string siblingProgram(const Context& context, std::string_view name);

// ---- files that `up` writes

// Puts a line before `text` by which unedited() recognises it.
std::string sealed(std::string_view text);
// The file still holds what sealed() made.
[[nodiscard]] bool unedited(std::string_view file);
// nullopt when there is no such file.
std::optional<std::string> readFile(const std::string& path);
// Complete before it has its name; mode 0600. Replaces.
Result<void> writeFile(const std::string& path, const std::string& text);

// ---- the supervisor

// One request and its answer. kUnavailable: nothing runs there.
Result<json::Value> askSupervisor(const std::string& control, const json::Value& request,
                                  Deadline deadline);
Result<json::Value> tellSupervisor(const std::string& control, std::string_view command,
                                   Deadline deadline);
// "127.0.0.1:8889" of a service's listener in a status answer; "" when it has none of that name.
std::string listenerOf(const json::Value& status, std::string_view service, std::string_view name);

// ---- what runs

// Adds "supervisor" and "agent" (with an "error" inside when they do not answer) as far as they
// are named: a control socket, an address of the agent; "" for none. Without an address the
// supervisor's service "agent" is asked.
void addSurroundings(const std::string& control, const std::string& agent, Deadline deadline,
                     json::Object& out);
// The same with "server", from the admin listener that the supervisor names.
Result<json::Value> stackStatus(const std::string& control, Deadline deadline);
// For people: `width` columns, with colours or without.
std::string renderStatus(const json::Value& status, std::size_t width, bool color);

}  // namespace godwit::cli
