#include <map>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/context.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

std::string words(const std::set<std::string>& all) {
  std::string text;
  for (const std::string& w : all) text += (text.empty() ? "" : " ") + w;
  return text;
}

// "--quiet" of "-q,--quiet"; "" for a short one alone.
std::string longName(const std::string& names) {
  std::size_t at = names.find("--");
  return at == std::string::npos ? "" : names.substr(at, names.find(',', at) - at);
}

struct Vocabulary {
  std::set<std::string> top, keys;
  std::map<std::string, std::set<std::string>> groups;  // "config" → "check", "show" ...
  std::map<std::string, std::set<std::string>> flags;   // by whole command
  std::set<std::string> files;                          // flags that name a file or folder
  std::set<std::string> common{"--help", "--quiet", "--verbose", "--color"};

  Vocabulary() {
    for (const Command& c : cli::commands()) {
      std::string name(c.name);
      std::string group(groupOf(c.name));
      if (!group.empty()) groups[group].insert(name.substr(group.size() + 1));
      top.insert(group.empty() ? name : group);
      flags[name] = common;
      for (const FlagText& f : flagsOf(c.name)) {
        std::string flag = longName(f.names);
        if (flag.empty()) continue;
        flags[name].insert(flag);
        if (f.value == "FILE" || f.value == "PATH") files.insert(flag);
      }
    }
    for (const OptionDef& o : kinto::options()) {
      if (!o.isPattern()) keys.emplace(o.key);
    }
  }
};

std::string joined(const std::set<std::string>& all, const char* between) {
  std::string text;
  for (const std::string& w : all) text += (text.empty() ? "" : between) + w;
  return text;
}

void bash(std::ostream& out, const Vocabulary& v) {
  std::set<std::string> groups;
  for (const auto& [group, subs] : v.groups) groups.insert(group);
  out << "_godwit() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local command=${COMP_WORDS[1]}\n"
         "  case $command in "
      << joined(groups, "|")
      << ") command=\"$command ${COMP_WORDS[2]}\" ;; esac\n"
         "  case $before in\n"
         "    "
      << joined(v.files, "|")
      << ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    explain|show) COMPREPLY=($(compgen -W \""
      << words(v.keys) << "\" -- \"$word\")); return ;;\n";
  for (const auto& [group, subs] : v.groups) {
    out << "    " << group << ") COMPREPLY=($(compgen -W \"" << words(subs)
        << "\" -- \"$word\")); return ;;\n";
  }
  out << "    godwit|help) COMPREPLY=($(compgen -W \"" << words(v.top)
      << "\" -- \"$word\")); return ;;\n"
         "  esac\n"
         "  [ \"${word:0:1}\" = - ] || { COMPREPLY=($(compgen -f -- \"$word\")); return; }\n"
         "  case $command in\n";
  for (const auto& [command, flags] : v.flags) {
    out << "    '" << command << "') COMPREPLY=($(compgen -W \"" << words(flags)
        << "\" -- \"$word\")) ;;\n";
  }
  out << "  esac\n"
         "}\n"
         "complete -F _godwit godwit\n";
}

void fish(std::ostream& out, const Vocabulary& v) {
  for (const Command& c : cli::commands()) {
    std::string group(groupOf(c.name));
    std::string when =
        group.empty() ? "__fish_use_subcommand" : "'__fish_seen_subcommand_from " + group + "'";
    std::string name(group.empty() ? c.name : c.name.substr(group.size() + 1));
    out << "complete -c godwit -n " << when << " -f -a " << name << " -d \"" << c.summary << "\"\n";
  }
  for (const auto& [group, subs] : v.groups) {
    out << "complete -c godwit -n __fish_use_subcommand -f -a " << group << "\n";
  }
  out << "complete -c godwit -n '__fish_seen_subcommand_from explain show' -f -a \""
      << words(v.keys) << "\"\n";
  for (const std::string& flag : v.common) {
    out << "complete -c godwit -l " << flag.substr(2) << "\n";
  }
  for (const auto& [command, flags] : v.flags) {
    std::string last = command.substr(command.find(' ') + 1);
    std::string group(groupOf(command));
    std::string when = "__fish_seen_subcommand_from " + last;
    if (!group.empty()) when = "__fish_seen_subcommand_from " + group + "; and " + when;
    for (const std::string& flag : flags) {
      if (v.common.contains(flag)) continue;
      out << "complete -c godwit -n '" << when << "' -l " << flag.substr(2)
          << (v.files.contains(flag) ? " -r" : "") << "\n";
    }
  }
}

}  // namespace

int completionCommand(const Context& context) {
  std::string shell = context.in.arguments.empty() ? "" : context.in.arguments.front();
  std::ostream& out = context.terminal.out;
  if (shell == "bash" || shell == "zsh") {
    // zsh runs bash completions.
    if (shell == "zsh") out << "autoload -U +X bashcompinit && bashcompinit\n";
    bash(out, Vocabulary());
    return kExitOk;
  }
  if (shell == "fish") {
    fish(out, Vocabulary());
    return kExitOk;
  }
  return context.fail("complete for " + shell, "only bash, zsh and fish are known", kExitUsage);
}

}  // namespace godwit::cli
