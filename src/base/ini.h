#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"

namespace godwit {

// The INI dialect of Python's configparser, as PasteDeploy files use it: `[section]`, `key = value`
// or `key: value`, full-line comments with # or ;, values continued on indented lines, %(name)s
// replaced from the section, [DEFAULT] or the variables given, %% for a percent sign. Keys keep
// their case. Immutable once parsed; any thread.
class Ini {
 public:
  struct Entry {
    std::string key;
    std::string raw;  // before interpolation; lines joined by '\n'
    int line = 0;
  };
  struct Section {
    std::string name;
    int line = 0;
    std::vector<Entry> entries;
  };
  using Variables = std::map<std::string, std::string, std::less<>>;

  // `file` is what errors call it: "kinto.ini:12: <reason>", code kInvalid.
  static Result<Ini> parse(std::string_view text, std::string file, Variables variables = {});
  // Also defines %(here)s, the folder of the file, and %(__file__)s. Files over 4 MiB are refused.
  static Result<Ini> load(const std::string& path, Variables variables = {});

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::vector<Section>& sections() const { return sections_; }
  // nullptr when absent. [DEFAULT] is not a section.
  [[nodiscard]] const Section* find(std::string_view section) const;
  // The entry's value after interpolation.
  [[nodiscard]] Result<std::string> value(const Section& section, const Entry& entry) const;
  // "kinto.ini:12"
  [[nodiscard]] std::string where(int line) const;

 private:
  Result<void> interpolate(std::string& out, std::string_view raw, const Section& section,
                           const Entry& entry, int depth) const;
  [[nodiscard]] const std::string* variable(std::string_view name, const Section& section) const;

  std::string file_;
  Variables variables_;
  std::vector<Section> sections_;
  Section defaults_;
};

}  // namespace godwit
