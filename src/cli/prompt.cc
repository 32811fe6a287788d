#include "cli/prompt.h"

#include <termios.h>
#include <unistd.h>

#include <istream>
#include <ostream>

namespace godwit::cli {
namespace {

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

}  // namespace

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

std::optional<std::string> ask(const Context& context, std::string_view prompt, bool secret) {
  // Before the prompt: what is typed as soon as it shows is neither lost nor shown.
  Silence silence(secret && context.terminal.in_is_terminal);
  context.terminal.err << prompt << std::flush;
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

std::optional<std::string> readPassword(const Context& context, const std::string& name) {
  if (context.terminal.in_is_terminal) return askPassword(context, name);
  std::string line;
  if (!std::getline(context.terminal.in, line) || line.empty()) return std::nullopt;
  return line;
}

bool confirm(const Context& context, std::string_view what) {
  if (context.in.yes) return true;
  if (context.terminal.in_is_terminal && context.terminal.err_is_terminal) {
    auto answer = ask(context, std::string(what) + "? Type yes to go on: ", false);
    if (answer == "yes") return true;
  }
  context.fail("go on", std::string(what) + " was not confirmed (hint: --yes)");
  return false;
}

bool isReadonly(const kinto::Settings& settings) { return settings.getBool("readonly"); }

bool includes(const kinto::Settings& settings, const std::string& wanted) {
  for (const std::string& plugin : settings.getList("includes")) {
    if (plugin == wanted || plugin == "kinto.plugins." + wanted) return true;
  }
  return false;
}

}  // namespace godwit::cli
