#include "agent/config.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fstream>
#include <sstream>

#include "agent/kadabra_config.h"
#include "base/os_error.h"
#include "base/text.h"
#include "base/units.h"

namespace godwit::agent {
namespace {

// As a name of an environment variable.
std::string variable(std::string_view s) {
  std::string out = upper(s);
  for (char& c : out) {
    if (!isDigit(c) && (c < 'A' || c > 'Z')) c = '_';
  }
  return out;
}

bool isName(std::string_view s) {
  return !s.empty() && s.size() <= 64 && s[0] != '.' && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::string didYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  auto found = nearest(word, candidates);
  return found ? " (did you mean '" + *found + "'?)" : std::string();
}

std::vector<std::string> keysOf(std::string_view kind) {
  std::vector<std::string> keys;
  for (const OptionDef& o : optionTable()) {
    if (o.section == kind) keys.emplace_back(o.key);
  }
  return keys;
}

std::vector<std::string> sectionNames() {
  std::vector<std::string> names;
  for (const auto& [name, help] : sectionTable()) {
    names.emplace_back(name == "publisher" ? "publisher:NAME" : std::string(name));
  }
  return names;
}

}  // namespace

Section::Entry Section::entry(std::string_view key) const {
  auto it = entries_.find(key);
  if (it != entries_.end()) return it->second;
  const OptionDef* o = findOption(kind_, key);
  assert(o);
  return {std::string(o->fallback), "default"};
}

std::string Section::text(std::string_view key) const { return entry(key).value; }
bool Section::flag(std::string_view key) const { return *parseFlag(entry(key).value); }
std::int64_t Section::integer(std::string_view key) const { return *parseInt(entry(key).value); }
double Section::number(std::string_view key) const { return *parseNumber(entry(key).value); }
std::chrono::nanoseconds Section::duration(std::string_view key) const {
  return *parseNanoseconds(entry(key).value);
}
std::uint64_t Section::size(std::string_view key) const { return *parseSize(entry(key).value); }
bool Section::isSet(std::string_view key) const { return entries_.contains(key); }

std::string Section::fingerprint() const {
  std::string out;
  for (const auto& [key, e] : entries_) out += key + "=" + e.value + "\n";
  return out;
}

Result<> Section::set(std::string_view key, std::string value, std::string origin) {
  const OptionDef* o = findOption(kind_, key);
  if (!o) {
    return {ErrorCode::kInvalid, origin + ": unknown key '" + std::string(key) + "' in [" + kind_ +
                                     "]" + didYouMean(key, keysOf(kind_))};
  }
  if (auto wrong = checkValue(*o, value)) {
    return {ErrorCode::kInvalid, origin + ": " + kind_ + "." + std::string(key) + " " + *wrong};
  }
  entries_[std::string(key)] = {std::move(value), std::move(origin)};
  return {};
}

Config::Config() {
  for (const auto& [name, help] : sectionTable()) {
    if (name != "publisher") sections_.emplace(name, Section(std::string(name), ""));
  }
}

const Section& Config::section(std::string_view kind) const {
  auto it = sections_.find(kind);
  assert(it != sections_.end());
  return it->second;
}

Result<> Config::set(std::string_view kind, const std::string& name, std::string_view key,
                     std::string value, std::string origin) {
  if (kind == "publisher") {
    auto it = publishers_.try_emplace(name, Section("publisher", name)).first;
    return it->second.set(key, std::move(value), std::move(origin));
  }
  auto it = sections_.find(kind);
  if (it == sections_.end()) {
    return {ErrorCode::kInvalid, origin + ": unknown section [" + std::string(kind) + "]" +
                                     didYouMean(kind, sectionNames())};
  }
  return it->second.set(key, std::move(value), std::move(origin));
}

Result<> Config::readText(std::string_view text, const std::string& where) {
  std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    return readKadabraJson(text, where, *this);
  }
  return readIni(text, where);
}

Result<> Config::readIni(std::string_view text, const std::string& where) {
  struct Line {
    std::string section, key, value, origin;
  };
  std::vector<Line> lines;
  std::string section;
  std::size_t number = 0;
  while (!text.empty()) {
    std::size_t n = text.find('\n');
    std::string_view raw = text.substr(0, n);
    text.remove_prefix(n == std::string_view::npos ? text.size() : n + 1);
    ++number;
    std::string origin = where + ":" + std::to_string(number);
    std::string_view line = trim(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    bool indented = raw[0] == ' ' || raw[0] == '\t';
    if (indented && !lines.empty() && lines.back().section == section) {
      lines.back().value += lines.back().value.empty() ? "" : " ";
      lines.back().value += line;
      continue;
    }
    if (line[0] == '[') {
      if (line.back() != ']') return {ErrorCode::kInvalid, origin + ": ']' is missing"};
      section = trim(line.substr(1, line.size() - 2));
      std::string_view kind = std::string_view(section).substr(0, section.find(':'));
      bool known = sections_.contains(section) || section == "kadabra";
      if (kind == "publisher") {
        std::string name(section.size() > kind.size() ? section.substr(kind.size() + 1) : "");
        if (!isName(name)) {
          return {ErrorCode::kInvalid, origin +
                                           ": a publisher needs a name of letters, digits, "
                                           "'-', '_', '.': [publisher:NAME]"};
        }
        publishers_.try_emplace(name, Section("publisher", name));
        known = true;
      }
      if (!known) {
        return {ErrorCode::kInvalid, origin + ": unknown section [" + section + "]" +
                                         didYouMean(section, sectionNames())};
      }
      lines.push_back({section, "", "", origin});  // ends a continued value
      continue;
    }
    std::size_t eq = line.find_first_of("=:");
    if (eq == std::string_view::npos) {
      return {ErrorCode::kInvalid, origin + ": neither a section nor 'key = value'"};
    }
    lines.push_back({section, std::string(trim(line.substr(0, eq))),
                     std::string(trim(line.substr(eq + 1))), origin});
  }
  for (Line& l : lines) {
    if (l.key.empty()) continue;
    if (l.section == "kadabra" || (l.section.empty() && isKadabraKey(l.key))) {
      GODWIT_TRY(applyKadabraSetting(l.key, l.value, l.origin, *this));
      continue;
    }
    if (l.section.empty()) {
      return {ErrorCode::kInvalid, l.origin + ": '" + l.key + "' stands before any [section]"};
    }
    std::size_t colon = l.section.find(':');
    std::string name = colon == std::string::npos ? "" : l.section.substr(colon + 1);
    GODWIT_TRY(set(l.section.substr(0, colon), name, l.key, std::move(l.value), l.origin));
  }
  return {};
}

Result<> Config::readEnvironment(const char* const* environment) {
  static constexpr std::string_view kPrefix = "GODWIT_AGENT_";
  for (; environment && *environment; ++environment) {
    std::string_view e = *environment;
    if (!e.starts_with(kPrefix)) continue;
    std::size_t eq = e.find('=');
    std::string_view name = e.substr(kPrefix.size(), eq - kPrefix.size());
    std::string value(eq == std::string_view::npos ? "" : e.substr(eq + 1));
    std::string origin = "env " + std::string(e.substr(0, eq));
    bool found = false;
    for (const OptionDef& o : optionTable()) {
      if (o.section == "publisher") {
        if (!name.starts_with("PUBLISHER_")) continue;
        std::string_view rest = name.substr(10);
        std::string key = "_" + variable(o.key);
        if (rest.size() <= key.size() || !rest.ends_with(key)) continue;
        // Of several keys that end the same, the publisher that exists decides.
        for (auto& [publisher, section] : publishers_) {
          if (variable(publisher) != rest.substr(0, rest.size() - key.size())) continue;
          GODWIT_TRY(section.set(o.key, value, origin));
          found = true;
        }
      } else if (name == variable(o.section) + "_" + variable(o.key) ||
                 (o.section == "agent" && name == variable(o.key))) {
        GODWIT_TRY(set(o.section, "", o.key, value, origin));
        found = true;
      }
    }
    if (!found) notes.push_back(origin + " names no setting; ignored");
  }
  return {};
}

Result<> Config::finish() {
  for (const auto& [name, p] : publishers_) {
    std::string type = p.text("type");
    std::string at = "[publisher:" + name + "]: ";
    bool http = type == "influxdb" || type == "influxdb2" || type == "otlp";
    std::string url = p.text("url");
    if (http && url.empty()) {
      return {ErrorCode::kInvalid, at + "type " + type + " needs 'url'"};
    }
    if (http && !url.starts_with("http://") && !url.starts_with("https://")) {
      return {ErrorCode::kInvalid, at + "'url' must begin with http:// or https://"};
    }
    if (type == "influxdb2" && (p.text("org").empty() || p.text("bucket").empty())) {
      return {ErrorCode::kInvalid, at + "type influxdb2 needs 'org' and 'bucket'"};
    }
  }
  if (publishers_.empty()) {
    publishers_.try_emplace("debug", Section("publisher", "debug"));
    notes.emplace_back("no [publisher:NAME] section: metrics are printed to stderr");
  }
  return {};
}

Result<Config> loadConfig(const std::string& path, const char* const* environment) {
  Config config;
  if (!path.empty()) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return osError("open " + path);
    std::ostringstream text;
    text << in.rdbuf();
    GODWIT_TRY(config.readText(text.str(), path));
  }
  GODWIT_TRY(config.readEnvironment(environment));
  GODWIT_TRY(config.finish());
  return config;
}

std::string exampleConfig() {
  std::string out =
      "# godwit-agent: every setting with its default. Remove the '#' to change one.\n"
      "# Any of them can come from the environment: GODWIT_AGENT_<SECTION>_<KEY>.\n";
  for (const auto& [name, help] : sectionTable()) {
    out += "\n# " + std::string(help) + ".\n";
    out += name == "publisher" ? "[publisher:debug]\n" : "[" + std::string(name) + "]\n";
    for (const OptionDef& o : optionTable()) {
      if (o.section != name) continue;
      out += "# " + std::string(o.help);
      if (!o.choices.empty()) out += " (" + std::string(o.choices) + ")";
      out += "\n#" + std::string(o.key) + " = " + std::string(o.fallback) + "\n";
    }
  }
  return out;
}

std::string describeConfig(const Config& config) {
  std::string out;
  auto describe = [&](const Section& s, const std::string& title) {
    out += "[" + title + "]\n";
    for (const OptionDef& o : optionTable()) {
      if (o.section != s.kind()) continue;
      Section::Entry e = s.entry(o.key);
      bool masked = o.secret && !e.value.empty();
      out +=
          std::string(o.key) + " = " + (masked ? "********" : e.value) + "  # " + e.origin + "\n";
    }
    out += "\n";
  };
  for (const auto& [name, help] : sectionTable()) {
    if (name != "publisher") describe(config.section(name), std::string(name));
  }
  for (const auto& [name, section] : config.publishers()) describe(section, "publisher:" + name);
  return out;
}

}  // namespace godwit::agent
