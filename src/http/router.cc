#include "godwit/http/router.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/encoding.h"
#include "godwit/http/server.h"
#include "http/exchange.h"

namespace godwit::http {

struct Router::Entry {
  std::string method;
  RouteHandler handler;
  Route route;
  std::vector<std::string> names;  // of the pattern's parts in braces, in order
};

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literal;
  std::unique_ptr<Node> one;      // "{name}"
  std::vector<Entry> here, rest;  // pattern ends here, or with "{name...}"
};

struct Router::Match {
  int status = 404;
  const std::vector<Entry>* entries = nullptr;
  const Entry* entry = nullptr;
  std::vector<std::string> values;
};

namespace {

constexpr std::size_t kMaxSegments = 64;

// Segments of a path, decoded; false for a broken escape or too many of them.
bool split(std::string_view path, std::vector<std::string>& out) {
  if (!path.starts_with('/')) return false;
  path.remove_prefix(1);
  for (;;) {
    std::size_t slash = path.find('/');
    std::string_view segment = path.substr(0, slash);
    if (segment.find('%') == std::string_view::npos) {
      out.emplace_back(segment);
    } else {
      std::optional<std::string> decoded = percentDecode(segment);
      if (!decoded) return false;
      out.push_back(std::move(*decoded));
    }
    if (slash == std::string_view::npos) return out.size() <= kMaxSegments;
    if (out.size() > kMaxSegments) return false;
    path.remove_prefix(slash + 1);
  }
}

std::string join(const std::vector<std::string>& segments, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < segments.size(); ++i) {
    if (i > from) out += '/';
    out += segments[i];
  }
  return out;
}

}  // namespace

std::string_view Params::operator[](std::string_view name) const {
  for (const Value& v : values_) {
    if (v.name == name) return v.text;
  }
  return {};
}

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

void Router::notFound(Handler handler) { not_found_ = std::move(handler); }

void Router::add(std::string_view method, std::string_view pattern, RouteHandler handler,
                 Route route) {
  auto wrong = [&](const char* why) {
    return std::invalid_argument("route '" + std::string(pattern) + "': " + why);
  };
  std::vector<std::string> segments;
  if (!split(pattern, segments)) throw wrong("not a path");
  Entry entry{std::string(method), std::move(handler), std::move(route), {}};
  if (entry.route.name.empty()) entry.route.name = pattern;
  Node* node = root_.get();
  std::vector<Entry>* place = nullptr;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string& s = segments[i];
    if (s.starts_with('{') && s.ends_with('}')) {
      std::string name = s.substr(1, s.size() - 2);
      const bool rest = name.ends_with("...");
      if (rest) name.resize(name.size() - 3);
      if (name.empty()) throw wrong("a part without a name");
      if (std::find(entry.names.begin(), entry.names.end(), name) != entry.names.end()) {
        throw wrong("a name used twice");
      }
      entry.names.push_back(name);
      if (rest) {
        if (i + 1 != segments.size()) throw wrong("something follows {...}");
        place = &node->rest;
        break;
      }
      if (!node->one) node->one = std::make_unique<Node>();
      node = node->one.get();
    } else {
      std::unique_ptr<Node>& next = node->literal[s];
      if (!next) next = std::make_unique<Node>();
      node = next.get();
    }
  }
  if (!place) place = &node->here;
  for (const Entry& e : *place) {
    if (e.method == entry.method) throw wrong("given twice");
  }
  place->push_back(std::move(entry));
}

Router::Match Router::find(const Request& request) const {
  Match m;
  std::vector<std::string> segments;
  if (request.path == "*") return m;
  if (!split(request.path, segments)) {
    m.status = 400;
    return m;
  }
  // Depth first, the more literal way first; the number of ways is bounded by two per segment and
  // cut by `budget`.
  std::size_t budget = 4096;
  const std::vector<Entry>* found = nullptr;
  std::vector<std::string> values;
  auto walk = [&](auto& self, const Node& n, std::size_t i) -> bool {
    if (budget == 0) return false;
    --budget;
    if (i == segments.size()) {
      if (n.here.empty()) return false;
      found = &n.here;
      return true;
    }
    if (auto it = n.literal.find(segments[i]); it != n.literal.end()) {
      if (self(self, *it->second, i + 1)) return true;
    }
    if (n.one && !segments[i].empty()) {
      values.push_back(segments[i]);
      if (self(self, *n.one, i + 1)) return true;
      values.pop_back();
    }
    if (!n.rest.empty()) {
      values.push_back(join(segments, i));
      found = &n.rest;
      return true;
    }
    return false;
  };
  if (!walk(walk, *root_, 0)) return m;
  m.entries = found;
  m.values = std::move(values);
  auto pick = [&](std::string_view method) {
    for (const Entry& e : *found) {
      if (e.method == method) m.entry = &e;
    }
    return m.entry != nullptr;
  };
  if (pick(request.method_name) || (request.method == Method::kHead && pick("GET")) || pick("*")) {
    m.status = 200;
  } else {
    m.status = request.method == Method::kOptions ? 204 : 405;
  }
  return m;
}

BodyPolicy Router::policy(const Request& request) const {
  Match m = find(request);
  return m.entry ? m.entry->route.body : BodyPolicy();
}

void Router::handle(const Request& request, Reply reply) const {
  Match m = find(request);
  if (m.entry) {
    reply.setRoute(m.entry->route.name, m.entry->route.measured);
    Params params;
    params.values_.reserve(m.values.size());
    for (std::size_t i = 0; i < m.values.size() && i < m.entry->names.size(); ++i) {
      params.values_.push_back({m.entry->names[i], std::move(m.values[i])});
    }
    return m.entry->handler(request, params, std::move(reply));
  }
  if (m.status == 400) return reply.send(400, "broken escape in the path\n");
  if (m.status == 404) {
    if (not_found_) return not_found_(request, std::move(reply));
    return reply.send(404, "not found\n");
  }
  std::string allow;
  bool get = false;
  bool head = false;
  for (const Entry& e : *m.entries) {
    allow.append(allow.empty() ? "" : ", ").append(e.method);
    get |= e.method == "GET";
    head |= e.method == "HEAD";
  }
  if (get && !head) allow += ", HEAD";
  if (allow.find("OPTIONS") == std::string::npos) allow += ", OPTIONS";
  reply.response().header("Allow", allow);
  if (m.status == 204) {
    reply.response().status = 204;
    return reply.send();
  }
  reply.send(405, "method not allowed\n");
}

void Router::attach(Server& server) {
  server.onRequest([this](const Request& r, Reply reply) { handle(r, std::move(reply)); });
  // Only when some route asks: matching twice is not free.
  auto asks = [](auto& self, const Node& n) -> bool {
    for (const auto* list : {&n.here, &n.rest}) {
      for (const Entry& e : *list) {
        if (e.route.body.stream || e.route.body.max_bytes) return true;
      }
    }
    for (const auto& [name, child] : n.literal) {
      if (self(self, *child)) return true;
    }
    return n.one && self(self, *n.one);
  };
  if (asks(asks, *root_)) server.onHead([this](const Request& r) { return policy(r); });
}

}  // namespace godwit::http
