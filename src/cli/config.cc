#include <algorithm>
#include <limits>
#include <ostream>

#include "base/text.h"
#include "cli/context.h"
#include "json/value.h"
#include "kinto/options.gen.h"

namespace godwit::cli {
namespace {

// Keys may be written as in a file.
std::string bareKey(std::string key) {
  if (key.compare(0, 6, "kinto.") == 0) key.erase(0, 6);
  return key;
}

std::string writtenKey(std::string_view key) {
  bool plain = key.substr(0, 7) == "godwit." || key.substr(0, 10) == "multiauth.";
  return (plain ? "" : "kinto.") + std::string(key);
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    found.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return found;
}

json::Value asJson(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& t : texts) array.emplace_back(t);
  return array;
}

// Continued lines stay continued.
std::string oneSetting(std::string value) {
  for (std::size_t at = 0; (at = value.find('\n', at)) != std::string::npos; at += 5) {
    value.replace(at, 1, "\n    ");
  }
  return value;
}

// The row for a key or one of its older names.
const OptionDef* rowOf(std::string_view key) {
  if (const OptionDef* o = findOption(kinto::options(), key)) return o;
  for (const OptionDef& o : kinto::options()) {
    auto old = splitWords(o.aliases);
    if (std::find(old.begin(), old.end(), key) != old.end()) return &o;
  }
  return nullptr;
}

// The row meant by `key`; one of Godwit's own may be named without its prefix.
const OptionDef* meant(std::string& key) {
  key = bareKey(key);
  const OptionDef* own = findOption(kinto::options(), "godwit." + key);
  if (own != nullptr) key = "godwit." + key;
  return own != nullptr ? own : rowOf(key);
}

int unknownKey(const Context& context, const std::string& key) {
  std::vector<std::string_view> keys;
  for (const OptionDef& o : kinto::options()) keys.push_back(o.key);
  std::string_view near = nearest(key, keys);
  std::string hint = near.empty() ? " (hint: godwit config show --all)"
                                  : " (did you mean " + writtenKey(near) + "?)";
  return context.fail("explain " + key, "no such setting" + hint, kExitUsage);
}

std::string kindOf(const OptionDef& o) {
  static constexpr const char* kNames[] = {
      "text",     "true or false", "whole number", "number", "list",
      "duration", "size",          "one of",       "path",   "URL"};
  std::string kind = kNames[static_cast<std::size_t>(o.type)];
  if (o.type == OptionType::kChoice) kind += " " + std::string(o.choices);
  constexpr auto kNoMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kNoMax = std::numeric_limits<std::int64_t>::max();
  if (o.min != kNoMin) kind += ", at least " + std::to_string(o.min);
  if (o.max != kNoMax) kind += ", at most " + std::to_string(o.max);
  if (!o.unit.empty()) kind += ", in " + std::string(o.unit);
  return kind;
}

std::string variableOf(const OptionDef& o) {
  if (!o.env.empty()) return std::string(o.env);
  std::string name;
  bool placeholder = false;
  for (char c : o.key) {
    placeholder = (placeholder || c == '{') && c != '}';
    char up = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    name += c == '.' || (c == '-' && !placeholder) ? '_' : up;
  }
  return name.compare(0, 7, "GODWIT_") == 0 ? name : "KINTO_" + name;
}

}  // namespace

int configCheck(const Context& context) {
  auto settings = kinto::Settings::load(context.settingsInput(false));
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
  if (settings.ok()) {
    warnings = settings->warnings();
    // Settings may be good one by one and contradict each other.
    if (context.programs.rehearse) {
      auto together = context.programs.rehearse(*settings);
      if (!together.ok()) errors = lines(together.error().message);
    }
  } else {
    errors = lines(settings.error().message);
  }
  if (context.in.json) {
    json::Value v = json::Value::object();
    v.asObject().set("ok", errors.empty());
    v.asObject().set("errors", asJson(errors));
    v.asObject().set("warnings", asJson(warnings));
    context.print(json::dump(v));
    return errors.empty() ? kExitOk : kExitConfig;
  }
  for (const std::string& w : warnings) context.warn(w);
  for (const std::string& e : errors) context.fail("use the configuration", e);
  if (!errors.empty()) return kExitConfig;
  std::string from = settings->iniFile().empty() ? "defaults, environment" : settings->iniFile();
  context.print(from + ": good" +
                (warnings.empty()       ? ""
                 : warnings.size() == 1 ? ", 1 warning"
                                        : ", " + std::to_string(warnings.size()) + " warnings"));
  return kExitOk;
}

int configShow(const Context& context) {
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  std::vector<std::string> wanted;
  for (std::string key : context.in.arguments) {
    if (meant(key) == nullptr && settings->find(key) == nullptr) return unknownKey(context, key);
    wanted.push_back(key);
  }
  json::Array array;
  std::size_t left_out = 0;
  for (const auto& [key, s] : settings->all()) {
    bool named = std::find(wanted.begin(), wanted.end(), key) != wanted.end();
    if (!wanted.empty() && !named) continue;
    if (wanted.empty() && !context.in.all && s.origin.kind == OriginKind::kDefault) {
      ++left_out;
      continue;
    }
    if (context.in.json) {
      json::Value row = json::Value::object();
      row.asObject().set("key", writtenKey(key));
      row.asObject().set("value", s.shown(key));
      row.asObject().set("origin", s.origin.text());
      array.push_back(std::move(row));
      continue;
    }
    context.print(context.bold(writtenKey(key)) + " = " + oneSetting(s.shown(key)) +
                  context.dim("  ; " + s.origin.text()));
  }
  for (const std::string& key : wanted) {
    if (settings->find(key) != nullptr) continue;
    if (context.in.json) {
      json::Value row = json::Value::object();
      row.asObject().set("key", writtenKey(key));
      row.asObject().set("value", nullptr);
      row.asObject().set("origin", "not set");
      array.push_back(std::move(row));
    } else {
      context.print(context.bold(writtenKey(key)) + " =" + context.dim("  ; not set"));
    }
  }
  if (context.in.json) context.print(json::dump(json::Value(std::move(array))));
  if (left_out > 0 && !context.in.json) {
    context.say(std::to_string(left_out) + " more at their defaults (hint: --all)");
  }
  return kExitOk;
}

int configExplain(const Context& context) {
  std::vector<std::string> keys = context.in.arguments;
  std::vector<const OptionDef*> rows;
  for (std::string& key : keys) {
    rows.push_back(meant(key));
    if (rows.back() == nullptr) return unknownKey(context, key);
  }
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const OptionDef& o = *rows[i];
    if (i > 0) context.print("");
    context.print(context.bold(writtenKey(o.key)));
    context.print("  " + std::string(o.help));
    if (!o.long_help.empty()) context.print("  " + std::string(o.long_help));
    if (!o.no_effect.empty()) {
      context.print("  Accepted, no effect: " + std::string(o.no_effect) + ".");
    }
    context.print("  value: " + kindOf(o));
    context.print("  default: " +
                  (o.has_fallback && !o.fallback.empty() ? std::string(o.fallback) : "not set"));
    context.print("  environment: " + variableOf(o));
    if (!o.flag.empty()) context.print("  flag: " + std::string(o.flag));
    if (!o.aliases.empty()) context.print("  older names: " + std::string(o.aliases));
    if (o.reloadable) context.print("  re-read on SIGHUP");
    std::string key = o.isPattern() ? keys[i] : std::string(o.key);
    if (const kinto::Setting* s = settings->find(key)) {
      context.print("  now: " + oneSetting(s->shown(key)) + "  (" + s->origin.text() + ")");
    }
  }
  return kExitOk;
}

int configExample(const Context& context) {
  context.terminal.out << configurationText();
  return kExitOk;
}

}  // namespace godwit::cli
