// Finding the endpoint: version prefix, redirects, 404, 405, 406, 415 and CORS preflight.
#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "kinto/app.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

using http::Method;

bool reads(Method method) {
  return method == Method::kGet || method == Method::kHead || method == Method::kOptions;
}

// "/v1", "/v2/x": some version of the API, maybe not this one.
bool looksVersioned(std::string_view path) {
  return path.size() > 2 && path[1] == 'v' && path[2] >= '0' && path[2] <= '9';
}

// Some media range of the Accept header covers application/json. The most specific range decides.
// A header that is no list of media ranges counts as none; an empty one accepts nothing.
bool acceptsJson(std::string_view accept) {
  int best = 0;
  bool allowed = false;
  for (std::string_view range : split(accept, ',')) {
    auto parts = split(range, ';');
    std::string_view type = trim(parts.front());
    if (!type.empty() && type.find('/') == std::string_view::npos) return true;
    int specific = type == "*/*"                               ? 1
                   : equalIgnoreCase(type, "application/*")    ? 2
                   : equalIgnoreCase(type, "application/json") ? 3
                                                               : 0;
    bool plain = true;
    bool zero = false;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      std::string_view parameter = trim(parts[i]);
      if (parameter.size() > 2 && lower(parameter[0]) == 'q' && parameter[1] == '=') {
        zero = parameter.find_first_not_of("0.", 2) == std::string_view::npos;
        break;
      }
      if (!parameter.empty()) plain = false;
    }
    if (!plain || specific <= best) continue;
    best = specific;
    allowed = !zero;
  }
  return allowed;
}

bool jsonContent(std::string_view content_type, bool patch) {
  std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type.empty() || equalIgnoreCase(type, "application/json")) return true;
  return patch && (equalIgnoreCase(type, "application/merge-patch+json") ||
                   equalIgnoreCase(type, "application/json-patch+json"));
}

void redirect(Call& call, const std::string& location, std::int64_t cache_seconds) {
  Answer& answer = call.answer;
  answer.clear();
  answer.status = 307;
  answer.header("Location", call.baseUrl() + location);
  if (cache_seconds >= 0) allowCaching(answer, cache_seconds, call.app().clock().nowMs());
  std::string_view accept = call.headers.accept;
  auto accepts = [accept](std::string_view type) {
    return accept.find(type) != std::string_view::npos;
  };
  if (accepts("text/html") || accepts("*/*")) {
    answer.content_type = "text/html; charset=UTF-8";
    answer.body =
        "<html>\n <head>\n  <title>307 Temporary Redirect</title>\n </head>\n <body>\n"
        "  <h1>307 Temporary Redirect</h1>\n  The resource is elsewhere.\n </body>\n</html>";
  } else if (accepts("application/")) {
    answer.body =
        "{\"message\":\"The resource is elsewhere.\",\"code\":\"307 Temporary Redirect\","
        "\"title\":\"Temporary Redirect\"}";
  } else {
    answer.content_type = "text/plain; charset=UTF-8";
    answer.body = "307 Temporary Redirect\n\nThe resource is elsewhere.\n";
  }
}

std::string withQuery(std::string path, std::string_view query) {
  if (!query.empty()) path.append("?").append(query);
  return path;
}

void preflight(Call& call) {
  const Headers& h = call.headers;
  const Route& route = *call.route;
  std::vector<Problem> problems;
  if (call.origin_refused) {
    problems.emplace_back("header", "Origin", std::string(h.origin) + " not allowed");
  } else {
    if (!h.has_origin) problems.emplace_back("header", "Origin", "this header is mandatory");
    if (h.request_method.empty()) {
      problems.emplace_back("header", "Access-Control-Request-Method", "this header is mandatory");
    } else if (h.has_origin) {
      const auto& methods = route.methods;
      if (std::find(methods.begin(), methods.end(), h.request_method) == methods.end()) {
        problems.emplace_back("header", "Access-Control-Request-Method", "Method not allowed");
      }
    }
  }
  if (!problems.empty()) return setInvalid(call.answer, std::move(problems));
  std::string allowed;
  for (const std::string& header : route.cors_headers) {
    if (!allowed.empty()) allowed += ',';
    allowed += header;
  }
  if (!h.request_headers.empty()) {
    for (std::string_view asked : split(h.request_headers, ',')) {
      asked = trim(asked);
      bool known = std::any_of(route.cors_headers.begin(), route.cors_headers.end(),
                               [&](const std::string& k) { return k == asked; });
      if (!asked.empty() && !known) allowed.append(",").append(asked);
    }
  }
  call.answer.header("Access-Control-Allow-Headers", allowed);
  call.answer.header("Access-Control-Allow-Methods", route.cors_methods);
  const std::string& age = call.config().cors_max_age_seconds;
  if (!age.empty()) call.answer.header("Access-Control-Max-Age", age);
  call.answer.body = "null";
}

void wrongMethod(Call& call) {
  setError(call.answer, 405, kErrnoMethod, "Method not allowed on this endpoint.");
  if (call.route) call.answer.header("Allow", call.route->allow);
}

void unknownPath(Call& call, const std::string& prefix) {
  bool ours = call.decoded.compare(0, prefix.size(), prefix) == 0;
  if (ours) {
    setError(call.answer, 404, kErrnoMissingResource,
             "The resource you are looking for could not be found.");
  } else {
    setError(call.answer, 404, kErrnoVersion,
             "The requested API version is not available on this server.");
  }
}

}  // namespace

bool App::route(Call& call) const {
  const Config& c = config_;
  call.decoded = call.raw_path;
  if (call.raw_path.find('%') != std::string_view::npos) {
    call.unescaped = lenientDecode(call.raw_path, false);
    call.decoded = call.unescaped;
  }
  if (eos_ms_ != 0 && eos_ms_ <= clock().nowMs()) {
    setError(call.answer, 410, kErrnoDeprecated,
             "The service you are trying to connect no longer exists at this location.");
    return false;
  }
  if (c.readonly && !reads(call.method)) {
    wrongMethod(call);
    return false;
  }
  // No name holds a null character, and not every store could look for one that does.
  bool named = call.decoded.find('\0') == std::string_view::npos && isValidUtf8(call.decoded);
  if (call.decoded.empty() || call.decoded.front() != '/' || !named) {
    setError(call.answer, 400, kErrnoInvalidParameters, "Invalid URL path.");
    return false;
  }
  if (!call.raw_query.empty()) {
    auto pairs = parseQuery(call.raw_query);
    if (!pairs) {
      std::string shown(call.raw_query.substr(0, 500));
      setError(call.answer, 400, kErrnoInvalidParameters,
               "A request with an incorrect encoding in the querystring was"
               "received. Please make sure your requests are encoded in UTF-8: " +
                   (isValidUtf8(shown) ? shown : std::string()));
      return false;
    }
    call.query = std::move(*pairs);
  }
  bool versioned = call.decoded.compare(0, prefix_.size(), prefix_) == 0 &&
                   (call.decoded.size() == prefix_.size() || call.decoded[prefix_.size()] == '/');
  if (!versioned) {
    bool plain = call.decoded.find_first_of("\r\n") == std::string_view::npos;
    if (c.version_prefix_redirect_enabled && plain && !looksVersioned(call.decoded)) {
      if (call.method == Method::kOptions) {
        // A browser does not follow redirects of a preflight.
        call.answer.content_type = "text/html; charset=UTF-8";
        return false;
      }
      redirect(call, withQuery(prefix_ + std::string(call.raw_path), call.raw_query),
               c.version_prefix_redirect_ttl_seconds);
      return false;
    }
    unknownPath(call, prefix_);
    return false;
  }
  call.path = call.decoded.substr(prefix_.size());
  if (!call.path.empty()) call.route = router_.match(call.path, call.params);
  if (!call.route) {
    if (c.trailing_slash_redirect_enabled) {
      std::string location;
      if (call.decoded.back() == '/') {
        std::string_view path = call.raw_path;
        while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
        location = path;
      } else if (call.decoded.size() == prefix_.size()) {
        location = prefix_ + "/";
      }
      if (!location.empty()) {
        redirect(call, withQuery(location, call.raw_query), c.trailing_slash_redirect_ttl_seconds);
        return false;
      }
    }
    unknownPath(call, prefix_);
    return false;
  }
  const Route& route = *call.route;
  if (call.headers.has_origin && !c.cors_origins.empty() && !any_origin_) {
    call.origin_refused =
        std::none_of(c.cors_origins.begin(), c.cors_origins.end(),
                     [&](const std::string& o) { return wildcardMatch(o, call.headers.origin); });
  }
  if (!route.defined[indexOf(call.method)]) {
    wrongMethod(call);
    return false;
  }
  if (call.method == Method::kOptions && !route.services[indexOf(Method::kOptions)].now) {
    preflight(call);
    return false;
  }
  if (route.checks_accept && call.headers.has_accept && !acceptsJson(call.headers.accept)) {
    std::vector<Problem> problems;
    problems.emplace_back("header", "Accept",
                          "Accept header should be one of ['application/json']");
    setInvalid(call.answer, std::move(problems), 406);
    return false;
  }
  bool has_body =
      call.method == Method::kPost || call.method == Method::kPut || call.method == Method::kPatch;
  bool wants_json =
      route.kind != RouteKind::kService || route.services[indexOf(call.method)].needs_json;
  bool patch = call.method == Method::kPatch;
  if (has_body && wants_json && !jsonContent(call.headers.content_type, patch)) {
    std::vector<Problem> problems;
    problems.emplace_back("header", "Content-Type",
                          patch ? "Content-Type header should be one of ['application/json', "
                                  "'application/merge-patch+json', 'application/json-patch+json']"
                                : "Content-Type header should be one of ['application/json']");
    setInvalid(call.answer, std::move(problems), 415);
    return false;
  }
  return true;
}

}  // namespace godwit::kinto
