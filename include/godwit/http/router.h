#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/http/reply.h"
#include "godwit/http/request.h"

namespace godwit::http {

class Server;

// What a pattern's parts in braces matched, percent-decoded. Valid during the handler's call.
class Params {
 public:
  // "" when the pattern has no such part.
  [[nodiscard]] std::string_view operator[](std::string_view name) const;
  [[nodiscard]] std::size_t size() const { return values_.size(); }

 private:
  friend class Router;
  struct Value {
    std::string_view name;
    std::string text;
  };
  std::vector<Value> values_;
};

struct RouteOptions {
  std::string name;       // for metrics and logs; "": the pattern
  bool measured = false;  // counts for Server::useMetrics when not everything is measured
  BodyPolicy body;
  RouteOptions() = default;
  explicit RouteOptions(std::string n) : name(std::move(n)), measured(true) {}
};

using RouteHandler = std::function<void(const Request&, const Params&, Reply)>;

// Maps method and path to handlers. Patterns are paths whose segments are literal, "{name}" (one
// segment, not empty) or, last, "{name...}" (the rest, maybe empty). Literal segments win over
// "{name}", which wins over "{name...}". Both sides are percent-decoded before they are compared.
//
// HEAD is answered by GET's handler when it has none of its own. Without handlers of their own,
// OPTIONS gets 204 with Allow, a known path with another method 405 with Allow, an unknown path
// 404, a broken escape 400.
//
// Set up before the server runs, constant afterwards. The router must outlive the server's run.
class Router {
 public:
  using Route = RouteOptions;

  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // `method` as on the wire; "*" for all that have no handler of their own. Throws
  // std::invalid_argument for a malformed or repeated pattern: a bug of the program.
  void add(std::string_view method, std::string_view pattern, RouteHandler handler,
           Route route = Route());
  void get(std::string_view p, RouteHandler h, Route r = Route()) {
    add("GET", p, std::move(h), std::move(r));
  }
  void post(std::string_view p, RouteHandler h, Route r = Route()) {
    add("POST", p, std::move(h), std::move(r));
  }
  void put(std::string_view p, RouteHandler h, Route r = Route()) {
    add("PUT", p, std::move(h), std::move(r));
  }
  void patch(std::string_view p, RouteHandler h, Route r = Route()) {
    add("PATCH", p, std::move(h), std::move(r));
  }
  void del(std::string_view p, RouteHandler h, Route r = Route()) {
    add("DELETE", p, std::move(h), std::move(r));
  }
  void any(std::string_view p, RouteHandler h, Route r = Route()) {
    add("*", p, std::move(h), std::move(r));
  }
  // Instead of the plain 404.
  void notFound(Handler handler);

  // Takes the server's onRequest, and onHead for the routes' body policies.
  void attach(Server& server);
  void handle(const Request& request, Reply reply) const;
  [[nodiscard]] BodyPolicy policy(const Request& request) const;

 private:
  struct Node;
  struct Entry;
  struct Match;
  Match find(const Request& request) const;

  std::unique_ptr<Node> root_;
  Handler not_found_;
};

}  // namespace godwit::http
