#include "cli/commands.h"

#include <algorithm>

#include "base/options.h"

namespace godwit::cli {
namespace {

constexpr char kShortHelp[] =
    "Godwit: a JSON store that speaks Kinto's HTTP API.\n"
    "\n"
    "  godwit up                         start the whole stack on http://127.0.0.1:8888/v1/\n"
    "  godwit serve                      serve from an SQLite file on http://127.0.0.1:8888/v1/\n"
    "  godwit serve --ini kinto.ini      serve what an existing Kinto configuration says\n"
    "  godwit config check --ini kinto.ini    tell what is wrong with it\n"
    "\n"
    "commands:\n";

std::string unknownCommand(const std::string& where, const std::string& word,
                           const std::vector<std::string_view>& known) {
  std::string_view near = nearest(word, known);
  std::string text = "godwit: unknown command '" + where + word + "'";
  text +=
      near.empty() ? " (hint: godwit help)" : " (did you mean " + where + std::string(near) + "?)";
  return text + "\n";
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> kCommands = {
      {"up", "Start the stack: server, agent and supervisor, on one folder"},
      {"reload", "Change to new settings or a new release without a failed request"},
      {"status", "Show what the stack does"},
      {"down", "Stop the stack"},
      {"serve", "Serve the HTTP API"},
      {"config check", "Tell what is wrong with the configuration"},
      {"config show", "Print settings in force and where each comes from"},
      {"config explain", "Explain a setting"},
      {"config example", "Print a complete commented configuration file"},
      {"health", "Ask a running server whether it works"},
      {"init", "Write a configuration file to start from"},
      {"start", "Serve, with Kinto's options and defaults"},
      {"migrate", "Create or upgrade the database"},
      {"create-user", "Create an account or change its password"},
      {"user add", "Create an account"},
      {"user passwd", "Change the password of an account"},
      {"user list", "Print the accounts"},
      {"user rm", "Remove an account"},
      {"backup", "Back the database up while it is in use"},
      {"restore", "Put a backup in the place of the database, or check it"},
      {"copy", "Copy everything from one store to another"},
      {"export", "Write a store or a running server as JSON lines"},
      {"import", "Bring an export or a running server into a store or a running server"},
      {"purge tombstones", "Forget what was deleted"},
      {"purge history", "Forget old entries of the history"},
      {"doctor", "Look for what is wrong, and say how to mend it"},
      {"flush-cache", "Forget everything cached"},
      {"purge-deleted", "Forget old tombstones"},
      {"rebuild-quotas", "Count anew what buckets and collections hold"},
      {"completion", "Print a completion script for a shell"},
      {"man", "Print the manual page"},
      {"version", "Print the version, the build and its libraries"},
      {"help", "Explain a command"},
  };
  return kCommands;
}

std::string_view groupOf(std::string_view command) {
  std::size_t space = command.find(' ');
  return space == std::string_view::npos ? std::string_view() : command.substr(0, space);
}

const std::vector<Command>& groups() {
  static const std::vector<Command> kGroups = {{"config", "Look at the configuration"},
                                               {"user", "Manage accounts"},
                                               {"purge", "Forget what is old"}};
  return kGroups;
}

std::string shortHelp() {
  std::string text = kShortHelp;
  for (const Command& c : commands()) {
    std::string name(c.name);
    name.resize(std::max<std::size_t>(name.size() + 2, 18), ' ');
    text += "  " + name + std::string(c.summary) + "\n";
  }
  return text + "\nMore: godwit COMMAND --help; every setting: godwit config explain KEY\n";
}

std::string whyNoCommand(const std::vector<std::string>& arguments) {
  const std::string& first = arguments[0];
  if (first[0] == '-') return {};
  std::vector<std::string_view> top;
  std::vector<std::string_view> below;
  for (const Command& c : commands()) {
    std::string_view group = groupOf(c.name);
    if (group.empty()) {
      top.push_back(c.name);
    } else if (group == first) {
      below.push_back(c.name.substr(group.size() + 1));
    }
  }
  for (const Command& g : groups()) top.push_back(g.name);
  auto has = [](const auto& names, std::string_view word) {
    return std::find(names.begin(), names.end(), word) != names.end();
  };
  if (!has(top, first)) return unknownCommand("", first, top);
  bool named = below.empty() || arguments.size() < 2 || arguments[1][0] == '-';
  if (named || has(below, arguments[1])) return {};
  return unknownCommand(first + " ", arguments[1], below);
}

}  // namespace godwit::cli
