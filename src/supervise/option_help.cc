// The table of options as text for people.
#include "supervise/option_table.h"

namespace godwit::supervise {
namespace {

using V = std::string_view;

void appendWrapped(std::string& out, V words, std::size_t indent) {
  std::size_t column = indent;
  bool first = true;
  while (!words.empty()) {
    std::size_t space = words.find(' ');
    V word = words.substr(0, space);
    words = space == V::npos ? "" : words.substr(space + 1);
    if (!first && column + 1 + word.size() > 96) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  out += '\n';
}

std::string signature(const OptionInfo& o) {
  std::string out = o.letter ? "-" + std::string(1, o.letter) + ", " : "    ";
  out += "--" + std::string(o.name);
  if (!o.argument.empty()) out += " " + std::string(o.argument);
  return out;
}

}  // namespace

std::string renderHelp() {
  std::string out =
      "usage: godwit-run [options] -- command [argument...]\n"
      "       godwit-run --config FILE\n"
      "       godwit-run VERB [--name NAME | --control PATH] [...]\n\n"
      "Runs a command and replaces it without a failed request: kill -HUP, or `godwit-run "
      "reload`.\n"
      "Verbs: status reload rollback promote canary stop kill signal pause resume upgrade metrics\n"
      "       log subscribe (`godwit-run VERB --help`)\n";
  V group;
  for (const OptionInfo& o : optionTable()) {
    if (o.group != group) {
      group = o.group;
      out += "\n" + std::string(group) + "\n";
    }
    std::string left = "  " + signature(o);
    if (left.size() < 34) {
      left.append(34 - left.size(), ' ');
      out += left;
    } else {
      out += left + "\n" + std::string(34, ' ');
    }
    std::string help(o.help);
    if (!o.standard.empty()) help += " [" + std::string(o.standard) + "]";
    appendWrapped(out, help, 34);
  }
  out +=
      "\nOther modes\n"
      "      --check (without CMD)       say whether the options are good, start nothing\n"
      "      --print-config              the same, and print them all\n"
      "      --print-state-table, --print-options, --help, --version\n";
  return out;
}

std::string renderOptionsMarkdown() {
  std::string out;
  V group;
  for (const OptionInfo& o : optionTable()) {
    if (o.group != group) {
      group = o.group;
      out += (out.empty() ? "" : "\n") + std::string("**") + std::string(group) +
             "**\n\n| option | meaning | default |\n|---|---|---|\n";
    }
    std::string help(o.help);
    std::string left = "`--" + std::string(o.name);
    if (!o.argument.empty()) left += " " + std::string(o.argument);
    left += "`";
    if (o.letter) left += " `-" + std::string(1, o.letter) + "`";
    for (std::size_t at = 0; (at = left.find('|', at)) != std::string::npos; at += 2) {
      left.insert(at, "\\");
    }
    out += "| " + left + " | " + help + " | " + std::string(o.standard) + " |\n";
  }
  return out;
}

}  // namespace godwit::supervise
