#include "cli/context.h"

#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "base/options.h"
#include "base/text.h"

namespace godwit::cli {

Context::Context(const Invocation& invocation, const char* const* env, Terminal& t,
                 const Programs& p)
    : in(invocation), terminal(t), programs(p), environ_(env) {}

void Context::say(std::string_view line) const {
  if (!in.quiet) terminal.err << line << '\n';
}

void Context::warn(std::string_view line) const {
  bool color = colorOn(terminal.err_is_terminal);
  terminal.err << (color ? "\033[33mwarning:\033[0m " : "warning: ") << line << '\n';
}

int Context::fail(std::string_view what, std::string_view why, int code) const {
  bool color = colorOn(terminal.err_is_terminal);
  terminal.err << (color ? "\033[31mgodwit:\033[0m " : "godwit: ") << "cannot " << what << ": "
               << why << '\n';
  return code;
}

void Context::print(std::string_view line) const { terminal.out << line << '\n'; }

std::string Context::bold(std::string_view text) const {
  if (!colorOn(terminal.out_is_terminal)) return std::string(text);
  return "\033[1m" + std::string(text) + "\033[0m";
}

std::string Context::dim(std::string_view text) const {
  if (!colorOn(terminal.out_is_terminal)) return std::string(text);
  return "\033[2m" + std::string(text) + "\033[0m";
}

bool Context::colorOn(bool is_terminal) const {
  if (in.color != ColorChoice::kAuto) return in.color == ColorChoice::kAlways;
  return is_terminal && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

std::string Context::variable(std::string_view name) const {
  for (const char* const* e = environ_; e != nullptr && *e != nullptr; ++e) {
    std::string_view entry(*e);
    if (entry.size() > name.size() && entry.substr(0, name.size()) == name &&
        entry[name.size()] == '=') {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return "";
}

std::string Context::iniPath(bool kintos_default) const {
  if (!in.ini.empty()) return in.ini;
  std::string path = variable("KINTO_INI");
  return path.empty() && kintos_default ? "config/kinto.ini" : path;
}

kinto::SettingsInput Context::settingsInput(bool kintos_default) const {
  kinto::SettingsInput input;
  input.ini = iniPath(kintos_default);
  input.takeEnvironment(environ_);
  if (in.verbose) input.flags.push_back({"godwit.log_level", "debug", "--verbose"});
  if (in.quiet) input.flags.push_back({"godwit.log_level", "error", "--quiet"});
  for (const auto& f : in.flags) {
    input.flags.push_back(f);
    if (f.key == "godwit.port") input.variables["http_port"] = f.value;
  }
  return input;
}

std::optional<kinto::Settings> Context::loadSettings(bool kintos_default) const {
  auto settings = kinto::Settings::load(settingsInput(kintos_default));
  if (settings.ok()) return std::move(*settings);
  std::string why = settings.error().message;
  for (std::size_t at = 0; at <= why.size();) {
    std::size_t end = std::min(why.find('\n', at), why.size());
    fail("use the configuration", why.substr(at, end - at));
    at = end + 1;
  }
  std::string path = iniPath(kintos_default);
  if (!path.empty() && ::access(path.c_str(), F_OK) != 0) {
    say(path + " is named by " +
        (!in.ini.empty()                 ? "--ini"
         : variable("KINTO_INI").empty() ? "default"
                                         : "$KINTO_INI") +
        "; godwit init --ini " + path + " writes one to start from");
  }
  return std::nullopt;
}

std::string reasonOf(const Error& error) {
  if (error.detail.empty()) return error.message;
  // Libraries write several lines.
  std::string detail(trim(error.detail));
  std::replace(detail.begin(), detail.end(), '\n', ' ');
  std::erase(detail, '\t');
  return error.message + ": " + maskUrl(detail);
}

}  // namespace godwit::cli
