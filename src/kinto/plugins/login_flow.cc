#include "kinto/plugins/login_flow.h"

#include <algorithm>

#include "json/value.h"
#include "kinto/operation.h"

namespace godwit::kinto {
namespace {

constexpr std::size_t kMaxUrl = 2048;

// scheme://something, without white space and control characters. Applications on telephones have
// schemes of their own.
bool isUrl(std::string_view text) {
  std::size_t colon = text.find("://");
  if (colon == text.npos || colon == 0 || text.size() == colon + 3) return false;
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto scheme = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  };
  auto visible = [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; };
  std::string_view name = text.substr(0, colon);
  return letter(name.front()) && std::all_of(name.begin(), name.end(), scheme) &&
         std::all_of(text.begin(), text.end(), visible);
}

}  // namespace

std::optional<std::string> queryValue(const Call& call, std::string_view name) {
  for (auto it = call.query.rbegin(); it != call.query.rend(); ++it) {
    if (it->first != name) continue;
    if (it->second.empty()) return std::nullopt;
    return it->second;
  }
  return std::nullopt;
}

std::string requiredValue(const Call& call, std::string_view name, std::vector<Problem>& problems) {
  auto value = queryValue(call, name);
  if (!value) problems.emplace_back("querystring", std::string(name), "Required");
  return value ? std::move(*value) : std::string();
}

std::string requiredUrl(const Call& call, std::string_view name, std::vector<Problem>& problems) {
  std::string url = requiredValue(call, name, problems);
  if (url.empty()) return url;
  std::string why;
  if (!isUrl(url)) why = "Must be a URL";
  if (url.size() > kMaxUrl)
    why += (why.empty() ? "" : "; ") + ("Longer than maximum length " + std::to_string(kMaxUrl));
  if (!why.empty()) problems.emplace_back("querystring", std::string(name), std::move(why));
  return url;
}

std::string_view authorityOf(std::string_view url) {
  std::size_t colon = url.find("://");
  if (colon == url.npos) return {};
  url.remove_prefix(colon + 3);
  // A browser ends the authority at a back slash too.
  return url.substr(0, url.find_first_of("/\\?#"));
}

std::string cachedText(std::string_view text) {
  std::string out;
  json::dumpString(out, text);
  return out;
}

std::string textOfCached(std::string_view cached) {
  Result<json::Value> value = json::parse(cached);
  return value.ok() && value->isString() ? value->asString() : std::string();
}

void sendBrowserTo(Call& call, int status, std::string_view url) {
  Answer& answer = call.answer;
  answer.clear();
  answer.status = status;
  answer.header("Location", url);
  answer.header("Cache-Control", "no-store");
  answer.body = "{}";
}

}  // namespace godwit::kinto
