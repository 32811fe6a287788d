#include <algorithm>

#include "base/text.h"
#include "cli/context.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

constexpr std::size_t kWidth = 98;

std::string written(std::string_view key) {
  bool plain = key.substr(0, 7) == "godwit." || key.substr(0, 10) == "multiauth." ||
               key.substr(0, 8) == "pyramid." || key.substr(0, 4) == "tm.";
  return (plain ? "" : "kinto.") + std::string(key);
}

// '%' begins an interpolation, and a further line is recognised by its indent.
std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    out += c;
    if (c == '%') out += '%';
    if (c == '\n') out += "    ";
  }
  return out;
}

void comment(std::string& out, std::string_view text) {
  std::size_t column = 0;
  for (const std::string& word : splitWords(text)) {
    if (column == 0 || column + 1 + word.size() > kWidth) {
      out += column == 0 ? "# " : "\n# ";
      column = 2;
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  if (column > 0) out += '\n';
}

}  // namespace

std::string configurationText(const std::vector<std::pair<std::string, std::string>>& active) {
  std::string out =
      "# Configuration of Godwit; Kinto reads the same file. Every setting stands here, with its\n"
      "# default where it has one. Remove the '#' in front of a setting to change it.\n"
      "# More: godwit config explain KEY\n\n"
      "[app:main]\nuse = egg:kinto\n";
  auto left = active;
  std::string_view section;
  for (const OptionDef& o : kinto::options()) {
    if (o.section != section) {
      section = o.section;
      out += "\n# --- " + std::string(section) + "\n";
    }
    out += '\n';
    comment(out, o.help);
    if (!o.no_effect.empty())
      comment(out, "Accepted, no effect: " + std::string(o.no_effect) + ".");
    bool written_out = false;
    for (auto it = left.begin(); it != left.end();) {
      if (o.key == it->first || (o.isPattern() && matchesPattern(o.key, it->first) &&
                                 findOption(kinto::options(), it->first) == &o)) {
        out += written(it->first) + " = " + escaped(it->second) + "\n";
        written_out = written_out || o.key == it->first;
        it = left.erase(it);
      } else {
        ++it;
      }
    }
    if (!written_out) out += "# " + written(o.key) + " = " + escaped(o.fallback) + "\n";
  }
  return out;
}

}  // namespace godwit::cli
