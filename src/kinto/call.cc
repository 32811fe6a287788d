#include "kinto/call.h"

#include <algorithm>

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/operation.h"

namespace godwit::kinto {

Call::~Call() = default;

bool Call::is(std::string_view principal) const {
  return std::find(principals.begin(), principals.end(), principal) != principals.end();
}

void Call::setPrincipals(const std::vector<std::string>& groups) {
  principals.clear();
  if (!identity) {
    principals.emplace_back("system.Everyone");
    return;
  }
  principals.reserve(groups.size() + identity->principals.size() + 3);
  principals.push_back(user);
  principals.emplace_back("system.Everyone");
  principals.emplace_back("system.Authenticated");
  principals.insert(principals.end(), groups.begin(), groups.end());
  principals.insert(principals.end(), identity->principals.begin(), identity->principals.end());
}

const Service* Call::service() const {
  return route && route->kind == RouteKind::kService ? &route->services[indexOf(method)] : nullptr;
}

std::string Call::baseUrl() const {
  const Config& c = config();
  std::string_view scheme = c.http_scheme;
  if (scheme.empty()) scheme = exchange.request.tls ? "https" : "http";
  std::string_view host = c.http_host.empty() ? headers.host : std::string_view(c.http_host);
  if (host.empty()) host = "localhost";
  std::string_view default_port = scheme == "https" ? ":443" : ":80";
  if (host.size() > default_port.size() &&
      host.substr(host.size() - default_port.size()) == default_port) {
    host.remove_suffix(default_port.size());
  }
  std::string url;
  url.reserve(scheme.size() + host.size() + 16);  // callers append a path
  url.append(scheme).append("://").append(host);
  return url;
}

const App& Call::app() const { return exchange.app; }
const Config& Call::config() const { return exchange.app.config(); }

}  // namespace godwit::kinto
