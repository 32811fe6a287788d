#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ini.h"
#include "base/options.h"
#include "godwit/result.h"
#include "json/value.h"

namespace godwit::kinto {

// A value in force.
struct Setting {
  std::string raw;    // as it was written
  json::Value value;  // raw as JSON when it is JSON, else a string
  Origin origin;
  const OptionDef* option = nullptr;  // its row in the table; nullptr for a key nobody knows

  // Without quotes when it was a JSON string; "" for null.
  [[nodiscard]] std::string text() const;
  // text() for others to see: secrets and passwords in URLs as "***".
  [[nodiscard]] std::string shown(std::string_view key) const;
};

struct SettingsInput {
  struct Flag {
    std::string key;  // "godwit.port"
    std::string value;
    std::string name;  // "--port"
  };
  std::string ini;  // path; "" for none
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<Flag> flags;
  Ini::Variables variables{{"http_port", "8888"}};  // for %(name)s

  SettingsInput() = default;
  // Takes NAME=value strings, as in environ(7).
  void takeEnvironment(const char* const* env);
};

// Defaults < INI < environment < flags, resolved and checked as Kinto does. Keys are without
// "kinto."; Godwit's own start with "godwit.". Immutable once loaded; any thread.
class Settings {
 public:
  // Defaults alone.
  Settings();

  // kInvalid with one line for each thing wrong: the key, its value, where it stands and why not.
  static Result<Settings> load(const SettingsInput& input);

  // Every setting with a value, defaults included; of patterns those that were set.
  [[nodiscard]] const std::map<std::string, Setting, std::less<>>& all() const { return values_; }
  [[nodiscard]] const Setting* find(std::string_view key) const;
  // Things worth a line in the log: unknown keys, settings without effect here.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  [[nodiscard]] const std::string& iniFile() const { return ini_; }  // "" for none

  // A value that is neither empty nor null.
  [[nodiscard]] bool has(std::string_view key) const;
  // When the key is not set: its default in the table, else `fallback`.
  [[nodiscard]] std::string getString(std::string_view key, std::string_view fallback = {}) const;
  [[nodiscard]] bool getBool(std::string_view key, bool fallback = false) const;
  [[nodiscard]] std::int64_t getInt(std::string_view key, std::int64_t fallback = 0) const;
  [[nodiscard]] double getNumber(std::string_view key, double fallback = 0) const;
  [[nodiscard]] std::vector<std::string> getList(std::string_view key) const;
  [[nodiscard]] std::chrono::milliseconds getDuration(
      std::string_view key, std::chrono::milliseconds fallback = {}) const;
  [[nodiscard]] std::uint64_t getSize(std::string_view key, std::uint64_t fallback = 0) const;
  // nullopt when not set.
  [[nodiscard]] std::optional<std::string> optString(std::string_view key) const;
  [[nodiscard]] std::optional<std::int64_t> optInt(std::string_view key) const;
  [[nodiscard]] std::optional<double> optNumber(std::string_view key) const;
  [[nodiscard]] std::optional<std::chrono::milliseconds> optDuration(std::string_view key) const;
  // The value in its plainest form, for those who parse no units: durations and sizes as bare
  // numbers in their option's unit, booleans as true and false, lists as words between spaces.
  [[nodiscard]] std::string plain(std::string_view key) const;
  // The text as written; "" when not set.
  [[nodiscard]] std::string_view raw(std::string_view key) const;
  // Keys that start with `prefix`, with their text: prefixed("multiauth.policy.") answers
  // {"account.use", "..."}.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> prefixed(
      std::string_view prefix) const;
  // "memory", "sqlite", "postgresql", "redis" or "memcached" of *_backend, whichever way it was
  // named. cache_backend and permission_backend follow storage_backend when not set.
  [[nodiscard]] std::string backend(std::string_view key) const;

 private:
  friend class SettingsLoader;

  std::map<std::string, Setting, std::less<>> values_;
  std::vector<std::string> warnings_;
  std::string ini_;
};

}  // namespace godwit::kinto
