#include "store/redis/options.h"

#include <charconv>

#include "base/encoding.h"

namespace godwit::store::redis {

namespace {

bool number(std::string_view text, int low, int high, int& out) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size() && out >= low && out <= high;
}

Error bad() {
  return Error(ErrorCode::kInvalid,
               "cache_url must look like redis://[:password@]host[:port][/database]");
}

}  // namespace

Result<Options> parseUrl(std::string_view url) {
  Options out;
  if (url.starts_with("rediss://")) {
    return Error(ErrorCode::kUnsupported, "TLS to Redis is not supported; use redis://");
  }
  if (url.starts_with("unix://")) {
    url.remove_prefix(7);
    auto query = url.find("?db=");
    if (query != std::string_view::npos) {
      if (!number(url.substr(query + 4), 0, 65535, out.database)) return bad();
      url = url.substr(0, query);
    }
    if (url.empty()) return bad();
    out.socket = url;
    return out;
  }
  if (!url.starts_with("redis://")) return bad();
  url.remove_prefix(8);
  url = url.substr(0, url.find('?'));
  auto slash = url.find('/');
  auto authority = url.substr(0, slash);
  if (slash != std::string_view::npos && slash + 1 < url.size()) {
    if (!number(url.substr(slash + 1), 0, 65535, out.database)) return bad();
  }
  if (auto at = authority.rfind('@'); at != std::string_view::npos) {
    auto login = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    auto colon = login.find(':');
    auto user = percentDecode(login.substr(0, colon));
    auto password = percentDecode(colon == std::string_view::npos ? "" : login.substr(colon + 1));
    if (!user || !password) return bad();
    out.user = *user;
    out.password = *password;
  }
  auto colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    auto close = authority.find(']');
    if (close == std::string_view::npos) return bad();
    out.host = authority.substr(1, close - 1);
    colon = close + 1 < authority.size() ? close + 1 : std::string_view::npos;
  } else if (!authority.substr(0, colon).empty()) {
    out.host = authority.substr(0, colon);
  }
  if (colon != std::string_view::npos && !number(authority.substr(colon + 1), 1, 65535, out.port)) {
    return bad();
  }
  return out;
}

}  // namespace godwit::store::redis
