// Settings with their origin: defaults, then the file, then the environment. A Config is a value;
// it is built once per start or reload and then only read. Any thread may read.
//
// File: INI, "[section]", "key = value", '#' and ';' comments, an indented line continues the
// value. Kadabra's own names (AGENT_PUBLISHER_ARGS, …) are understood too, as INI or as a JSON
// object. Environment: GODWIT_AGENT_<SECTION>_<KEY>; section agent may be left out; a publisher is
// GODWIT_AGENT_PUBLISHER_<NAME>_<KEY>.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/options.h"
#include "godwit/result.h"

namespace godwit::agent {

// One section. Getters give the default for what was not set; the value was checked when it was
// read, so they do not fail. REQUIRES that the key is in the option table.
class Section {
 public:
  struct Entry {
    std::string value;
    std::string origin;  // "default", "<file>:<line>", "env GODWIT_AGENT_…"
  };

  Section() = default;
  Section(std::string kind, std::string name) : kind_(std::move(kind)), name_(std::move(name)) {}

  [[nodiscard]] const std::string& kind() const { return kind_; }
  [[nodiscard]] const std::string& name() const { return name_; }  // of a publisher
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] std::chrono::nanoseconds duration(std::string_view key) const;
  [[nodiscard]] std::uint64_t size(std::string_view key) const;
  [[nodiscard]] bool isSet(std::string_view key) const;
  [[nodiscard]] Entry entry(std::string_view key) const;
  // Everything that was set, in a canonical form: equal texts mean equal behaviour.
  [[nodiscard]] std::string fingerprint() const;

  Result<> set(std::string_view key, std::string value, std::string origin);

 private:
  std::string kind_;
  std::string name_;
  std::map<std::string, Entry, std::less<>> entries_;
};

class Config {
 public:
  Config();

  // Each note is a sentence for the log: a setting that has become meaningless, a variable that
  // names nothing.
  std::vector<std::string> notes;

  [[nodiscard]] const Section& section(std::string_view kind) const;
  [[nodiscard]] const std::map<std::string, Section>& publishers() const { return publishers_; }

  // `where` is the file's name, for messages. On an error the message tells file, line, key, and
  // the key that was probably meant.
  Result<> readText(std::string_view text, const std::string& where);
  Result<> readEnvironment(const char* const* environment);
  // What no single value shows: a publisher without URL, two listeners on one address.
  Result<> finish();

  Result<> set(std::string_view kind, const std::string& name, std::string_view key,
               std::string value, std::string origin);

 private:
  Result<> readIni(std::string_view text, const std::string& where);

  std::map<std::string, Section, std::less<>> sections_;
  std::map<std::string, Section> publishers_;
};

Result<Config> loadConfig(const std::string& path, const char* const* environment);

// Every option with its explanation, commented out; for a file to start from.
std::string exampleConfig();
// What is in force and where it came from; secrets masked.
std::string describeConfig(const Config& config);

}  // namespace godwit::agent
