#include <ostream>
#include <set>

#include "cli/context.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

std::string words(const std::set<std::string>& all) {
  std::string text;
  for (const std::string& w : all) text += (text.empty() ? "" : " ") + w;
  return text;
}

struct Vocabulary {
  std::set<std::string> commands, config, flags, keys;

  Vocabulary() : flags{"--ini", "--help", "--quiet", "--verbose", "--color"} {
    for (const Command& c : cli::commands()) {
      std::string name(c.name);
      if (name.compare(0, 7, "config ") == 0) {
        config.insert(name.substr(7));
        name = "config";
      }
      commands.insert(name);
    }
    for (const OptionDef& o : kinto::options()) {
      if (!o.flag.empty()) flags.emplace(o.flag);
      if (!o.isPattern()) keys.emplace(o.key);
    }
  }
};

}  // namespace

int completionCommand(const Context& context) {
  std::string shell = context.in.arguments.empty() ? "" : context.in.arguments.front();
  Vocabulary v;
  std::ostream& out = context.terminal.out;
  if (shell == "bash" || shell == "zsh") {
    // zsh runs bash completions.
    if (shell == "zsh") out << "autoload -U +X bashcompinit && bashcompinit\n";
    out << "_godwit() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  case $before in\n"
           "    --ini|--unix|--data-dir) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
           "    explain|show) COMPREPLY=($(compgen -W \""
        << words(v.keys)
        << "\" -- \"$word\")); return ;;\n"
           "    config) COMPREPLY=($(compgen -W \""
        << words(v.config)
        << "\" -- \"$word\")); return ;;\n"
           "    godwit|help) COMPREPLY=($(compgen -W \""
        << words(v.commands)
        << "\" -- \"$word\")); return ;;\n"
           "  esac\n"
           "  COMPREPLY=($(compgen -W \""
        << words(v.flags)
        << "\" -- \"$word\"))\n"
           "}\n"
           "complete -F _godwit godwit\n";
    return kExitOk;
  }
  if (shell == "fish") {
    for (const Command& c : cli::commands()) {
      if (c.name.find(' ') != std::string_view::npos) continue;
      out << "complete -c godwit -n __fish_use_subcommand -f -a " << c.name << " -d \"" << c.summary
          << "\"\n";
    }
    out << "complete -c godwit -n __fish_use_subcommand -f -a config -d \"Look at the "
           "configuration\"\n"
        << "complete -c godwit -n '__fish_seen_subcommand_from config' -f -a \"" << words(v.config)
        << "\"\n"
        << "complete -c godwit -n '__fish_seen_subcommand_from explain show' -f -a \""
        << words(v.keys) << "\"\n";
    for (const std::string& f : v.flags) out << "complete -c godwit -l " << f.substr(2) << "\n";
    return kExitOk;
  }
  return context.fail("complete for " + shell, "only bash, zsh and fish are known", kExitUsage);
}

}  // namespace godwit::cli
