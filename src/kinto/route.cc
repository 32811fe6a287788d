#include "kinto/route.h"

#include "base/text.h"

#include <algorithm>

namespace godwit::kinto {
namespace {

constexpr std::array<std::string_view, 5> kBaseExposed = {"Backoff", "Retry-After", "Alert",
                                                          "Content-Length", "Content-Type"};
constexpr std::array<std::string_view, 5> kObjectExposed = {"Last-Modified", "ETag",
                                                            "Cache-Control", "Expires", "Pragma"};

std::vector<std::string> exposedBy(const Route& route, const std::string& method) {
  std::vector<std::string> out(kBaseExposed.begin(), kBaseExposed.end());
  bool reads = method == "GET" || method == "HEAD";
  if (route.kind != RouteKind::kService && reads) {
    out.insert(out.end(), kObjectExposed.begin(), kObjectExposed.end());
    if (route.kind == RouteKind::kPlural) out.emplace_back("Next-Page");
    if (method == "HEAD" && route.kind == RouteKind::kPlural && !route.head_is_get) {
      out.emplace_back("Total-Objects");
      out.emplace_back("Total-Records");
    }
  }
  return out;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

bool isParam(const std::string& segment) { return segment.size() > 2 && segment.front() == '{'; }
bool isOpen(const std::string& segment) {
  return isParam(segment) && segment[segment.size() - 2] == '*';
}
std::string_view paramName(const std::string& segment) {
  return std::string_view(segment).substr(1, segment.size() - (isOpen(segment) ? 3 : 2));
}

}  // namespace

http::Method methodFromName(std::string_view name) {
  constexpr std::array<std::string_view, 9> kNames = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};
  auto it = std::find(kNames.begin(), kNames.end(), name);
  return it == kNames.end() ? http::Method::kOther : static_cast<http::Method>(it - kNames.begin());
}

void Route::prepare(const Config& config) {
  for (std::string_view part : split(std::string_view(pattern).substr(1), '/')) {
    segments.emplace_back(part);
  }
  if (kind != RouteKind::kService) {
    std::string prefix =
        (kind == RouteKind::kPlural ? "plural_" : "object_") + resource->name + "_";
    auto is_off = [&](const std::string& method) {
      bool reads = method == "GET" || method == "HEAD";
      if (config.readonly && !reads) return true;
      return config.disabled_endpoints.contains(prefix + lower(method));
    };
    methods.erase(std::remove_if(methods.begin(), methods.end(), is_off), methods.end());
  }
  // What answers GET answers HEAD too.
  auto get = std::find(methods.begin(), methods.end(), "GET");
  if (get != methods.end() && std::find(methods.begin(), methods.end(), "HEAD") == methods.end()) {
    methods.insert(get + 1, "HEAD");
    head_is_get = true;
    services[indexOf(http::Method::kHead)] = services[indexOf(http::Method::kGet)];
  }
  bool cors = !config.cors_origins.empty();
  if (cors && std::find(methods.begin(), methods.end(), "OPTIONS") == methods.end()) {
    methods.emplace_back("OPTIONS");
  }
  for (const std::string& method : methods) {
    std::size_t i = indexOf(methodFromName(method));
    defined[i] = true;
    if (method == "OPTIONS") continue;
    std::vector<std::string> exposed = exposedBy(*this, method);
    const auto& extra = services[i].expose_headers;
    exposed.insert(exposed.end(), extra.begin(), extra.end());
    for (const std::string& header : exposed) {
      if (std::find(cors_headers.begin(), cors_headers.end(), header) == cors_headers.end()) {
        cors_headers.push_back(header);
      }
    }
    if (cors) expose[i] = "Access-Control-Expose-Headers: " + join(exposed, ", ") + "\r\n";
  }
  allow = join(methods, ", ");
  cors_methods = join(methods, ",");
}

void Router::add(std::unique_ptr<Route> route, const Config& config) {
  route->order = routes_.size();
  route->prepare(config);
  Params taken;
  bool literal = std::none_of(route->segments.begin(), route->segments.end(), isParam);
  if (literal && !match(route->pattern, taken)) literals_.push_back({route->pattern, route.get()});
  if (isOpen(route->segments.back())) {
    open_.push_back(route.get());
  } else {
    std::size_t n = route->segments.size();
    if (by_length_.size() <= n) by_length_.resize(n + 1);
    by_length_[n].push_back(route.get());
  }
  routes_.push_back(std::move(route));
}

namespace {

constexpr std::size_t kMaxSegments = 12;

bool fits(const Route& route, const std::array<std::string_view, kMaxSegments>& parts,
          std::size_t count, std::string_view path, Params& params) {
  params.count = 0;
  for (std::size_t i = 0; i < route.segments.size(); ++i) {
    const std::string& segment = route.segments[i];
    if (isOpen(segment)) {
      std::string_view rest;
      if (i < count) rest = path.substr(static_cast<std::size_t>(parts[i].data() - path.data()));
      if (i > count) return false;
      params.items[params.count++] = {paramName(segment), rest};
      return true;
    }
    if (i >= count) return false;
    if (isParam(segment)) {
      if (parts[i].empty() || params.count == params.items.size()) return false;
      params.items[params.count++] = {paramName(segment), parts[i]};
    } else if (segment != parts[i]) {
      return false;
    }
  }
  return count == route.segments.size();
}

}  // namespace

const Route* Router::match(std::string_view path, Params& params) const {
  for (const Literal& l : literals_) {
    if (l.path != path) continue;
    params.count = 0;
    return l.route;
  }
  std::array<std::string_view, kMaxSegments> parts;
  std::size_t count = 0;
  std::size_t pos = 1;
  for (;;) {
    std::size_t end = path.find('/', pos);
    if (count < kMaxSegments) parts[count] = path.substr(pos, end - pos);
    ++count;
    if (end == std::string_view::npos) break;
    pos = end + 1;
  }
  const Route* best = nullptr;
  if (count < by_length_.size()) {
    for (const Route* route : by_length_[count]) {
      if (fits(*route, parts, count, path, params)) {
        best = route;
        break;
      }
    }
  }
  for (const Route* route : open_) {
    Params open_params;
    if (best && best->order < route->order) break;
    if (fits(*route, parts, std::min(count, kMaxSegments), path, open_params)) {
      params = open_params;
      return route;
    }
  }
  return best;
}

}  // namespace godwit::kinto
