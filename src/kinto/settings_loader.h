#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/settings.h"

namespace godwit::kinto {

// Builds Settings from their sources, weakest first. Used once, by Settings::load().
class SettingsLoader {
 public:
  Result<Settings> load(const SettingsInput& input);
  // Fills in the defaults of the table alone.
  static void addDefaults(Settings& settings);

 private:
  void readIni(const Ini& ini);
  void readApp(const Ini& ini, const Ini::Section& section);
  void readServer(const Ini& ini, const Ini::Section& section);
  void readUwsgi(const Ini& ini, const Ini::Section& section);
  void readLogging(const Ini& ini);
  void readEnvironment(const SettingsInput& input);
  void readPatternsFromEnvironment();
  void resolveDataDir();
  void check();
  void checkPlugins();
  void checkCombinations();

  // Sets the key over what weaker sources said.
  void set(std::string_view key, std::string raw, OriginKind kind, std::string origin);
  // The same, only when no INI section has set it.
  void offer(std::string_view key, std::string raw, const Ini& ini, int line);
  void problem(std::string text) { problems_.push_back(std::move(text)); }
  void warn(std::string text) { settings_.warnings_.push_back(std::move(text)); }

  Settings settings_;
  std::vector<std::string> problems_;
  std::map<std::string, std::string, std::less<>> environment_;
  std::set<std::string, std::less<>> used_environment_;
};

}  // namespace godwit::kinto
