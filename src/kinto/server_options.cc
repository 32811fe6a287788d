#include "kinto/server_options.h"

namespace godwit::kinto {

http::Server::Options serverOptionsFrom(const Settings& s) {
  http::Server::Options o;
  auto size = [&s](std::string_view key, std::size_t fallback) {
    return static_cast<std::size_t>(s.getSize(key, fallback));
  };
  o.threads = static_cast<std::size_t>(s.getInt("godwit.threads"));
  o.drain_deadline = s.getDuration("godwit.drain_timeout", o.drain_deadline);
  http::Limits& l = o.limits;
  l.max_connections = static_cast<std::size_t>(
      s.getInt("godwit.max_connections", static_cast<std::int64_t>(l.max_connections)));
  l.max_header_bytes = size("godwit.max_header_bytes", l.max_header_bytes);
  l.max_body_bytes = size("godwit.max_body_bytes", l.max_body_bytes);
  l.header_timeout = s.getDuration("godwit.header_timeout", l.header_timeout);
  l.body_timeout = s.getDuration("godwit.body_timeout", l.body_timeout);
  l.idle_timeout = s.getDuration("godwit.idle_timeout", l.idle_timeout);
  l.write_timeout = s.getDuration("godwit.write_timeout", l.write_timeout);
  l.handler_timeout = s.getDuration("godwit.request_timeout", l.handler_timeout);
  return o;
}

std::string listenUrl(const Settings& s) {
  if (s.has("godwit.unix")) return "unix:" + s.getString("godwit.unix");
  std::string host = s.getString("godwit.host");
  if (host == "*") host = "0.0.0.0";
  if (host.find(':') != std::string::npos && host.front() != '[') host = "[" + host + "]";
  return "http://" + host + ":" + s.getString("godwit.port");
}

bool isLoopback(std::string_view url) {
  return url.starts_with("unix:") || url.starts_with("http://127.") ||
         url.starts_with("http://[::1]") || url.starts_with("http://localhost");
}

Result<std::string> adminUrl(const Settings& s) {
  std::string where = s.getString("godwit.admin_listen");
  if (where.empty()) return where;
  std::string url = where.starts_with("unix:") ? where : "http://" + where;
  if (isLoopback(url)) return url;
  return Error(ErrorCode::kInvalid,
               "godwit.admin_listen = " + where +
                   ": only loopback or a unix socket, since the status page has no authentication");
}

}  // namespace godwit::kinto
