#include "kinto/settings_loader.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kinto/options.gen.h"
#include "kinto/plugins/catalog.h"

namespace godwit::kinto {
namespace {

// Prefixes under which a key of [app:main] may be written.
constexpr std::array<std::string_view, 2> kPrefixes = {"kinto.", "cliquet."};

std::string_view withoutPrefix(std::string_view key) {
  for (std::string_view p : kPrefixes) {
    if (key.substr(0, p.size()) == p) return key.substr(p.size());
  }
  return key;
}

// Old names become the one in the table.
std::string_view canonical(std::string_view key) {
  static const auto aliases = [] {
    std::map<std::string, std::string_view, std::less<>> m;
    for (const OptionDef& o : options()) {
      for (std::string& old : splitWords(o.aliases)) m.emplace(std::move(old), o.key);
    }
    return m;
  }();
  auto it = aliases.find(key);
  return it == aliases.end() ? key : it->second;
}

std::string environmentName(std::string_view key) {
  std::string name(key);
  for (char& c : name) {
    if (c == '.' || c == '-') c = '_';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

bool isOwn(std::string_view key) { return key.substr(0, 7) == "godwit."; }

json::Value native(const std::string& raw) {
  auto v = json::parse(raw);
  return v.ok() ? std::move(*v) : json::Value(raw);
}

std::vector<std::string_view> knownKeys() {
  std::vector<std::string_view> keys;
  for (const OptionDef& o : options()) {
    if (!o.isPattern()) keys.push_back(o.key);
  }
  return keys;
}

std::string didYouMean(std::string_view key, std::string_view prefix) {
  std::string_view near = nearest(key, knownKeys());
  if (near.empty()) return "";
  return " (did you mean " + std::string(isOwn(near) ? "" : prefix) + std::string(near) + "?)";
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& l : lines) text += (text.empty() ? "" : "\n") + l;
  return text;
}

}  // namespace

Settings::Settings() { SettingsLoader::addDefaults(*this); }

Result<Settings> Settings::load(const SettingsInput& input) { return SettingsLoader().load(input); }

void SettingsLoader::addDefaults(Settings& settings) {
  for (const OptionDef& o : options()) {
    if (o.isPattern() || !o.has_fallback) continue;
    Setting s;
    s.raw = o.fallback;
    // The version 1.23 is a text, whatever it looks like.
    s.value = o.type == OptionType::kString ? json::Value(s.raw) : native(s.raw);
    s.option = &o;
    settings.values_.insert_or_assign(std::string(o.key), std::move(s));
  }
}

Result<Settings> SettingsLoader::load(const SettingsInput& input) {
  if (!input.ini.empty()) {
    auto ini = Ini::load(input.ini, input.variables);
    if (!ini.ok()) return Error(ErrorCode::kInvalid, ini.error().message, ini.error().detail);
    settings_.ini_ = input.ini;
    readIni(*ini);
  }
  readEnvironment(input);
  for (const SettingsInput::Flag& f : input.flags) {
    set(f.key, f.value, OriginKind::kFlag, f.name);
  }
  resolveDataDir();
  check();
  checkPlugins();
  checkCombinations();
  if (!problems_.empty()) return Error(ErrorCode::kInvalid, join(problems_));
  return std::move(settings_);
}

void SettingsLoader::set(std::string_view key, std::string raw, OriginKind kind,
                         std::string origin) {
  Setting s;
  s.option = findOption(options(), key);
  s.value = native(raw);
  s.raw = std::move(raw);
  s.origin = {kind, std::move(origin)};
  settings_.values_.insert_or_assign(std::string(key), std::move(s));
}

void SettingsLoader::offer(std::string_view key, std::string raw, const Ini& ini, int line) {
  const Setting* s = settings_.find(key);
  if (s != nullptr && s->origin.kind != OriginKind::kDefault) return;
  set(key, std::move(raw), OriginKind::kFile, ini.where(line));
}

void SettingsLoader::readIni(const Ini& ini) {
  const Ini::Section* app = ini.find("app:main");
  if (app == nullptr) app = ini.find("app:kinto");
  if (app != nullptr) {
    readApp(ini, *app);
  } else if (ini.find("godwit") == nullptr) {
    problem(ini.file() + ": has no section [app:main] (hint: godwit config example)");
  }
  if (const Ini::Section* own = ini.find("godwit")) {
    for (const Ini::Entry& e : own->entries) {
      auto value = ini.value(*own, e);
      if (!value.ok()) {
        problem(value.error().message);
        continue;
      }
      std::string key = isOwn(e.key) ? e.key : "godwit." + e.key;
      set(key, *value, OriginKind::kFile, ini.where(e.line));
    }
  }
  if (const Ini::Section* s = ini.find("server:main")) readServer(ini, *s);
  if (const Ini::Section* s = ini.find("uwsgi")) readUwsgi(ini, *s);
  readLogging(ini);
}

void SettingsLoader::readApp(const Ini& ini, const Ini::Section& section) {
  struct Seen {
    std::string written, value;
    int line;
  };
  std::map<std::string, Seen, std::less<>> seen;
  for (const Ini::Entry& e : section.entries) {
    if (e.key == "use" || e.key == "here" || e.key.compare(0, 4, "set ") == 0) continue;
    auto value = ini.value(section, e);
    if (!value.ok()) {
      problem(value.error().message);
      continue;
    }
    std::string_view bare = withoutPrefix(e.key);
    std::string key(canonical(bare));
    auto [it, fresh] = seen.try_emplace(key, Seen{e.key, *value, e.line});
    if (!fresh) {
      if (it->second.value == *value) continue;
      problem("settings '" + it->second.written + "' (" + ini.where(it->second.line) + ") and '" +
              e.key + "' (" + ini.where(e.line) + ") are in conflict");
      continue;
    }
    set(key, std::move(*value), OriginKind::kFile, ini.where(e.line));
    bool prefixed = bare.size() != e.key.size() || isOwn(key);
    if (prefixed && settings_.find(key)->option == nullptr) {
      warn(ini.where(e.line) + ": unknown setting '" + e.key + "'" +
           didYouMean(key, e.key.substr(0, e.key.size() - bare.size())));
    }
  }
}

// %(http_port)s and the like must not keep a file from being read that uses another server.
void SettingsLoader::readServer(const Ini& ini, const Ini::Section& section) {
  for (const Ini::Entry& e : section.entries) {
    std::string_view key;
    if (e.key == "host") key = "godwit.host";
    if (e.key == "port") key = "godwit.port";
    if (e.key == "unix_socket") key = "godwit.unix";
    if (key.empty()) continue;
    auto value = ini.value(section, e);
    if (value.ok()) {
      offer(key, std::move(*value), ini, e.line);
    } else {
      warn(value.error().message);
    }
  }
}

void SettingsLoader::readUwsgi(const Ini& ini, const Ini::Section& section) {
  for (const Ini::Entry& e : section.entries) {
    if (e.raw.find('%') != std::string::npos) continue;  // uWSGI's own placeholders
    std::string name = e.key;
    std::replace(name.begin(), name.end(), '_', '-');
    if (name == "http-socket" || name == "http") {
      std::size_t colon = e.raw.rfind(':');
      if (colon == std::string::npos) {
        offer("godwit.unix", e.raw, ini, e.line);
        continue;
      }
      std::string host = e.raw.substr(0, colon);
      offer("godwit.host", host.empty() ? "0.0.0.0" : host, ini, e.line);
      offer("godwit.port", e.raw.substr(colon + 1), ini, e.line);
    } else if (name == "processes" || name == "workers") {
      offer("godwit.threads", e.raw, ini, e.line);
    } else if (name == "harakiri") {
      offer("godwit.request_timeout", e.raw, ini, e.line);
    } else if (name == "buffer-size") {
      offer("godwit.max_header_bytes", e.raw, ini, e.line);
    } else if (name == "uid" || name == "gid") {
      offer("godwit." + name, e.raw, ini, e.line);
    } else if (name == "socket" || name == "uwsgi-socket") {
      warn(ini.where(e.line) + ": '" + e.key +
           "' speaks the uwsgi protocol, which Godwit does not (hint: proxy_pass over HTTP)");
    }
  }
}

void SettingsLoader::readLogging(const Ini& ini) {
  auto entry = [&](const std::string& section, std::string_view key) -> const Ini::Entry* {
    const Ini::Section* s = ini.find(section);
    if (s == nullptr) return nullptr;
    auto it = std::find_if(s->entries.begin(), s->entries.end(),
                           [&](const Ini::Entry& e) { return e.key == key; });
    return it == s->entries.end() ? nullptr : &*it;
  };
  if (const Ini::Entry* level = entry("logger_root", "level")) {
    static const std::map<std::string, const char*, std::less<>> kLevels = {
        {"NOTSET", "debug"}, {"DEBUG", "debug"}, {"INFO", "info"},      {"WARN", "warn"},
        {"WARNING", "warn"}, {"ERROR", "error"}, {"CRITICAL", "error"}, {"FATAL", "error"}};
    auto it = kLevels.find(level->raw);
    if (it != kLevels.end()) offer("godwit.log_level", it->second, ini, level->line);
  }
  const Ini::Entry* handlers = entry("logger_root", "handlers");
  if (handlers == nullptr) return;
  std::string first = handlers->raw.substr(0, handlers->raw.find_first_of(", \n"));
  const Ini::Entry* formatter = entry("handler_" + first, "formatter");
  if (formatter == nullptr) return;
  const Ini::Entry* cls = entry("formatter_" + formatter->raw, "class");
  std::string kind = cls == nullptr ? "" : cls->raw;
  const char* format =
      kind.find("Json") != std::string::npos || kind.find("Mozlog") != std::string::npos ? "json"
      : kind.find("Color") != std::string::npos                                          ? "color"
                                                                                         : "text";
  offer("godwit.log_format", format, ini, formatter->line);
}

void SettingsLoader::readEnvironment(const SettingsInput& input) {
  for (const auto& [name, value] : input.environment) environment_[name] = value;
  // What a variable overrides: the keys of the table, and whatever else the file sets.
  std::set<std::string, std::less<>> keys;
  for (const OptionDef& o : options()) {
    if (!o.isPattern()) keys.emplace(o.key);
  }
  for (const auto& [key, setting] : settings_.values_) keys.insert(key);
  for (const std::string& key : keys) {
    std::string name = environmentName(key);
    std::vector<std::string> names = {name};
    if (!isOwn(key)) names = {name, "KINTO_" + name, "GODWIT_" + name};
    for (const std::string& n : names) {
      auto it = environment_.find(n);
      if (it == environment_.end()) continue;
      used_environment_.insert(n);
      set(key, it->second, OriginKind::kEnvironment, n);
    }
  }
  for (const OptionDef& o : options()) {
    for (const std::string& old : splitWords(o.aliases)) {
      std::string name = "KINTO_" + environmentName(old);
      auto it = environment_.find(name);
      if (it == environment_.end()) continue;
      used_environment_.insert(name);
      set(o.key, it->second, OriginKind::kEnvironment, name);
    }
  }
  readPatternsFromEnvironment();
}

void SettingsLoader::readPatternsFromEnvironment() {
  for (const auto& [name, value] : environment_) {
    std::string_view rest = name;
    if (rest.substr(0, 6) == "KINTO_") {
      rest.remove_prefix(6);
    } else if (rest.substr(0, 7) == "GODWIT_") {
      rest.remove_prefix(7);
    } else {
      continue;
    }
    if (name == "KINTO_INI" || used_environment_.count(name) != 0) continue;
    bool known = false;
    for (const OptionDef& o : options()) {
      // A pattern that ends in any {parameter} would take everything.
      if (!o.isPattern() || o.key.back() == '}') continue;
      if (auto key = keyFromEnvironment(o.key, rest)) {
        set(*key, value, OriginKind::kEnvironment, name);
        known = true;
        break;
      }
    }
    if (known) continue;
    // Others share these prefixes (images, test suites): speak only of what looks like a slip.
    std::vector<std::string> names;
    std::vector<std::string_view> candidates;
    for (std::string_view key : knownKeys()) {
      names.push_back(environmentName(isOwn(key) ? key.substr(7) : key));
    }
    for (const std::string& n : names) candidates.push_back(n);
    std::string_view near = nearest(rest, candidates);
    std::size_t slips = near.empty() ? rest.size() : editDistance(rest, near, 3);
    if (slips > 2 || slips * 2 >= rest.size()) continue;
    warn("environment " + name + ": unknown setting (did you mean " +
         name.substr(0, name.size() - rest.size()) + std::string(near) + "?)");
  }
}

void SettingsLoader::resolveDataDir() {
  if (settings_.has("godwit.data_dir")) return;
  auto variable = [this](const char* name) {
    auto it = environment_.find(name);
    return it == environment_.end() ? std::string() : it->second;
  };
  std::string state = variable("STATE_DIRECTORY");
  if (!state.empty()) {
    set("godwit.data_dir", state.substr(0, state.find(':')), OriginKind::kEnvironment,
        "STATE_DIRECTORY");
  } else if (std::string xdg = variable("XDG_STATE_HOME"); !xdg.empty()) {
    set("godwit.data_dir", xdg + "/godwit", OriginKind::kEnvironment, "XDG_STATE_HOME");
  } else if (std::string home = variable("HOME"); !home.empty()) {
    set("godwit.data_dir", home + "/.local/state/godwit", OriginKind::kDefault, "");
  } else {
    set("godwit.data_dir", "godwit-data", OriginKind::kDefault, "");
  }
}

void SettingsLoader::check() {
  for (const auto& [key, s] : settings_.values_) {
    if (s.origin.kind == OriginKind::kDefault) continue;
    if (s.option == nullptr) {
      if (s.origin.kind == OriginKind::kFlag)
        problem("unknown setting '" + key + "'" + didYouMean(key, ""));
      continue;
    }
    std::string text = s.text();
    std::string why = whyNot(*s.option, text);
    if (s.value.isObject()) why = "is a JSON object";
    if (s.value.isArray() && s.option->type != OptionType::kList) why = "is a list";
    if (!why.empty()) {
      problem("setting '" + key + "' (" + s.origin.text() + "): '" + s.shown(key) + "' " + why);
    } else if (!s.option->no_effect.empty() && !text.empty()) {
      // What only repeats the default says nothing worth a warning.
      if (s.option->has_fallback && text == s.option->fallback) continue;
      warn(s.origin.text() + ": setting '" + key +
           "' has no effect: " + std::string(s.option->no_effect));
    }
  }
}

void SettingsLoader::checkPlugins() {
  const Setting* includes = settings_.find("includes");
  std::string origin = includes == nullptr ? "" : includes->origin.text();
  for (const std::string& plugin : settings_.getList("includes")) {
    if (isPlugin(plugin)) continue;
    warn(origin + ": plugin '" + plugin + "' is not built in and is left out");
  }
}

void SettingsLoader::checkCombinations() {
  if (settings_.backend("permission_backend") != settings_.backend("storage_backend")) {
    warn(settings_.find("permission_backend")->origin.text() +
         ": permissions are kept in the storage backend (" + settings_.backend("storage_backend") +
         "), so that both change in one transaction");
  }
  for (const auto& [key, s] : settings_.values_) {
    constexpr std::string_view kGenerator = "id_generator";
    if (key.size() < kGenerator.size() || s.origin.kind == OriginKind::kDefault ||
        key.compare(key.size() - kGenerator.size(), kGenerator.size(), kGenerator) != 0) {
      continue;
    }
    std::string name = s.text().substr(s.text().rfind('.') + 1);
    bool known =
        name.empty() || name == "UUID4" || name == "RelaxedUUID" || name == "NameGenerator";
    if (!known) {
      warn(s.origin.text() + ": setting '" + key + "': Python class '" + s.text() +
           "' cannot be loaded, ids are made as by default");
    }
  }
}

}  // namespace godwit::kinto
