#include <ostream>

#include "cli/commands.h"
#include "cli/context.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

// Text for troff: no escapes of its own, no control line.
std::string troff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c != '`') {
      out += c;
    }
  }
  return out;
}

void item(std::ostream& out, std::string_view head, std::string_view text) {
  out << ".TP\n\\fB" << troff(head) << "\\fR\n" << troff(text) << "\n";
}

}  // namespace

int manCommand(const Context& context) {
  std::ostream& out = context.terminal.out;
  out << ".TH GODWIT 1 \"\" \"godwit " << programVersion() << "\"\n"
      << ".nh\n.ad l\n.SH NAME\ngodwit \\- a JSON store that speaks Kinto's HTTP API\n"
      << ".SH SYNOPSIS\n\\fBgodwit\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      << ".SH COMMANDS\n";
  for (const Command& c : commands()) item(out, c.name, std::string(c.summary) + ".");
  out << ".SH OPTIONS\n";
  for (const Command& c : commands()) {
    std::vector<FlagText> flags = flagsOf(c.name);
    if (flags.empty()) continue;
    out << ".SS godwit " << troff(c.name) << "\n";
    for (const FlagText& f : flags) {
      item(out, f.value.empty() ? f.names : f.names + " " + f.value, f.help + ".");
    }
  }
  out << ".SH SETTINGS\nOf an INI file, the environment or \\-\\-set; see also godwit config "
         "explain.\n";
  std::string_view section;
  for (const OptionDef& o : kinto::options()) {
    if (o.section != section) {
      section = o.section;
      out << ".SS " << troff(section) << "\n";
    }
    std::string text(o.help);
    if (o.has_fallback && !o.fallback.empty()) text += " Default: " + std::string(o.fallback) + ".";
    if (!o.no_effect.empty()) text += " Accepted, no effect: " + std::string(o.no_effect) + ".";
    item(out, o.key, text);
  }
  out << ".SH SIGNALS\n";
  item(out, "SIGTERM, SIGINT",
       "Stop accepting, finish what was read, then exit 0; a second one stops at once.");
  out << ".SH EXIT STATUS\n";
  item(out, std::to_string(kExitOk), "Done.");
  item(out, std::to_string(kExitFailed), "It could not be done.");
  item(out, std::to_string(kExitUsage), "The command line makes no sense.");
  item(out, std::to_string(kExitConfig), "A setting is impossible.");
  item(out, std::to_string(kExitNotReady), "health, status, reload: nothing answers, or not well.");
  item(out, std::to_string(kExitDifferent),
       "copy, export, import: the check at the end found differences.");
  item(out, std::to_string(kExitFindings), "doctor found a problem.");
  item(out, std::to_string(kExitUnconfirmed),
       "Nothing was done: it destroys something, and --yes was not given.");
  item(out, std::to_string(kExitRunning), "up: the stack runs already.");
  item(out, std::to_string(kExitQuotasReadonly), "rebuild-quotas: the server is readonly.");
  item(out, std::to_string(kExitNoQuotas), "rebuild-quotas: the quotas plugin is off.");
  item(out, std::to_string(kExitReadonly), "create-user, user: the server is readonly.");
  item(out, std::to_string(kExitNoAccounts), "create-user, user: the accounts plugin is off.");
  item(out, std::to_string(kExitAborted), "create-user, user: the input ended.");
  return kExitOk;
}

}  // namespace godwit::cli
