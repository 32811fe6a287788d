#include "kinto/settings.h"

#include <algorithm>

#include "base/text.h"
#include "kinto/options.gen.h"

namespace godwit::kinto {

std::string Setting::text() const {
  if (value.isNull()) return "";
  return value.isString() ? value.asString() : raw;
}

std::string Setting::shown(std::string_view key) const {
  std::string t = text();
  if (t.empty()) return t;
  bool secret = option != nullptr && option->secret;
  if (option == nullptr || option->isPattern()) {
    for (std::string_view word : {"secret", "password", "token", "apikey", "api_key"}) {
      secret = secret || key.find(word) != std::string_view::npos;
    }
    // "…_token_ttl" and the like hold numbers, which are no secrets.
    secret = secret && !value.isNumber();
  }
  return secret ? "***" : maskUrl(t);
}

void SettingsInput::takeEnvironment(const char* const* env) {
  for (; env != nullptr && *env != nullptr; ++env) {
    std::string_view entry(*env);
    std::size_t eq = entry.find('=');
    if (eq == std::string_view::npos) continue;
    environment.emplace_back(entry.substr(0, eq), entry.substr(eq + 1));
  }
}

const Setting* Settings::find(std::string_view key) const {
  auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

bool Settings::has(std::string_view key) const {
  const Setting* s = find(key);
  return s != nullptr && !s->text().empty();
}

std::optional<std::string> Settings::optString(std::string_view key) const {
  const Setting* s = find(key);
  if (s != nullptr) {
    std::string t = s->text();
    if (!t.empty()) return t;
    return std::nullopt;
  }
  // A pattern's default has no row of its own among the values.
  const OptionDef* o = findOption(options(), key);
  if (o == nullptr || !o->has_fallback || o->fallback.empty()) return std::nullopt;
  return std::string(o->fallback);
}

std::string Settings::getString(std::string_view key, std::string_view fallback) const {
  return optString(key).value_or(std::string(fallback));
}

bool Settings::getBool(std::string_view key, bool fallback) const {
  auto t = optString(key);
  return t ? parseBool(*t).value_or(false) : fallback;
}

std::optional<std::int64_t> Settings::optInt(std::string_view key) const {
  auto t = optString(key);
  return t ? parseInt(*t) : std::nullopt;
}

std::int64_t Settings::getInt(std::string_view key, std::int64_t fallback) const {
  return optInt(key).value_or(fallback);
}

std::optional<double> Settings::optNumber(std::string_view key) const {
  auto t = optString(key);
  return t ? parseNumber(*t) : std::nullopt;
}

double Settings::getNumber(std::string_view key, double fallback) const {
  return optNumber(key).value_or(fallback);
}

std::vector<std::string> Settings::getList(std::string_view key) const {
  const Setting* s = find(key);
  if (s != nullptr && s->value.isArray()) {
    std::vector<std::string> words;
    for (const json::Value& v : s->value.asArray()) {
      words.push_back(v.isString() ? v.asString() : json::dump(v));
    }
    return words;
  }
  return splitWords(getString(key));
}

std::optional<std::chrono::milliseconds> Settings::optDuration(std::string_view key) const {
  auto t = optString(key);
  if (!t) return std::nullopt;
  const OptionDef* o = findOption(options(), key);
  return parseDuration(*t, o != nullptr ? o->unit : "s");
}

std::chrono::milliseconds Settings::getDuration(std::string_view key,
                                                std::chrono::milliseconds fallback) const {
  return optDuration(key).value_or(fallback);
}

std::uint64_t Settings::getSize(std::string_view key, std::uint64_t fallback) const {
  auto t = optString(key);
  return t ? parseSize(*t).value_or(fallback) : fallback;
}

std::string Settings::plain(std::string_view key) const {
  const OptionDef* o = findOption(options(), key);
  std::string text = getString(key);
  if (o == nullptr || text.empty()) return text;
  switch (o->type) {
    case OptionType::kBool:
      return getBool(key) ? "true" : "false";
    case OptionType::kSize:
      return std::to_string(getSize(key));
    case OptionType::kDuration: {
      // Most are whole numbers of their unit.
      auto unit = parseDuration("1", o->unit).value_or(std::chrono::seconds(1));
      auto value = getDuration(key);
      if (value % unit == std::chrono::milliseconds::zero()) return std::to_string(value / unit);
      return json::dump(
          json::Value(static_cast<double>(value.count()) / static_cast<double>(unit.count())));
    }
    case OptionType::kList: {
      std::string words;
      for (const std::string& w : getList(key)) words += (words.empty() ? "" : " ") + w;
      return words;
    }
    case OptionType::kString:
    case OptionType::kInt:
    case OptionType::kNumber:
    case OptionType::kChoice:
    case OptionType::kPath:
    case OptionType::kUrl:
      break;
  }
  return text;
}

std::string_view Settings::raw(std::string_view key) const {
  const Setting* s = find(key);
  return s == nullptr ? std::string_view() : std::string_view(s->raw);
}

std::vector<std::pair<std::string, std::string>> Settings::prefixed(std::string_view prefix) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (auto it = values_.lower_bound(prefix);
       it != values_.end() && it->first.compare(0, prefix.size(), prefix) == 0; ++it) {
    found.emplace_back(it->first.substr(prefix.size()), it->second.text());
  }
  return found;
}

std::string Settings::backend(std::string_view key) const {
  std::string name = getString(key);
  if (name.empty() && key != "storage_backend") return backend("storage_backend");
  for (const char* kind : {"sqlite", "memory", "postgresql", "redis", "memcached"}) {
    if (name.find(kind) != std::string::npos) return kind;
  }
  return name;
}

}  // namespace godwit::kinto
