#include "kinto/config.h"

#include "base/text.h"

namespace godwit::kinto {

std::string Config::text(std::string_view key, std::string_view fallback) const {
  auto it = raw.find(key);
  return it == raw.end() ? std::string(fallback) : it->second;
}

bool Config::flag(std::string_view key, bool fallback) const {
  auto it = raw.find(key);
  if (it == raw.end()) return fallback;
  std::string value = lower(it->second);
  return value == "true" || value == "t" || value == "yes" || value == "y" || value == "on" ||
         value == "1";
}

std::vector<std::string> Config::list(std::string_view key) const { return splitWords(text(key)); }

const std::vector<std::string>& Config::granted(std::string_view key) const {
  static const std::vector<std::string> kNone;
  auto it = principals.find(key);
  return it == principals.end() ? kNone : it->second;
}

std::string Config::routePrefix() const {
  return "v" + http_api_version.substr(0, http_api_version.find('.'));
}

}  // namespace godwit::kinto
