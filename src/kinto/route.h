#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "godwit/http/request.h"
#include "kinto/config.h"
#include "kinto/resource.h"

namespace godwit::store {
class Session;
}

namespace godwit::kinto {

class Call;

inline constexpr std::size_t kMethods = 10;  // of http::Method

// What an endpoint that is no resource does, one entry per method.
struct Service {
  // Answers at once, without knowing the user.
  std::function<void(Call&)> now;
  // Answers an unknown user without a transaction and without principals. Optional, beside `work`.
  std::function<void(Call&)> anonymous;
  // Answers inside the transaction, user and principals known.
  std::function<Task<bool>(store::Session&, Call&)> work;
  // Answers later, on the loop thread, outside of any transaction. Not possible inside a batch,
  // where `now` is used instead when set.
  std::function<void(Call&, std::function<void()>)> later;
  bool writes = false;                      // work needs a write transaction
  bool needs_json = false;                  // body must be application/json (415)
  std::vector<std::string> expose_headers;  // beyond the base set

  Service() = default;
};

enum class RouteKind : std::uint8_t { kService, kPlural, kObject };

// One path pattern and what answers it. Segments "{name}" match one segment, a last "{name*}" any
// rest, also an empty one. Set once at start.
struct Route {
  std::string name;  // "record-object", "hello"
  std::string pattern;
  RouteKind kind = RouteKind::kService;
  const Resource* resource = nullptr;
  bool head_is_get = false;  // HEAD was not defined, so it is a GET without its body: no totals
  std::vector<std::string> methods;  // in order of definition; OPTIONS is appended with CORS
  std::array<Service, kMethods> services;
  // JSON endpoints of resources refuse other Accept values with 406.
  bool checks_accept = false;

  // Computed by prepare() and Router::add().
  std::size_t order = 0;  // of definition; earlier wins
  std::vector<std::string> segments;
  std::array<bool, kMethods> defined{};
  std::array<bool, kMethods> switched_off{};
  std::array<std::string, kMethods> expose;  // "Access-Control-Expose-Headers: ...\r\n"
  std::string allow;                         // value of Allow
  std::string cors_methods;                  // value of Access-Control-Allow-Methods
  std::vector<std::string> cors_headers;     // every header any method exposes

  void prepare(const Config& config);
};

// Names and values of the pattern's parameters. Views into the decoded path.
struct Params {
  struct Param {
    std::string_view name, value;
  };
  std::array<Param, 6> items;
  std::size_t count = 0;

  [[nodiscard]] std::string_view get(std::string_view name) const {
    for (std::size_t i = 0; i < count; ++i) {
      if (items[i].name == name) return items[i].value;
    }
    return {};
  }
  [[nodiscard]] bool has(std::string_view name) const {
    for (std::size_t i = 0; i < count; ++i) {
      if (items[i].name == name) return true;
    }
    return false;
  }
};

// The static table of endpoints. Earlier routes win.
class Router {
 public:
  // Takes ownership and prepares it.
  void add(std::unique_ptr<Route> route, const Config& config);
  // `path` without version prefix, "/" at least. nullptr when nothing matches.
  [[nodiscard]] const Route* match(std::string_view path, Params& params) const;
  [[nodiscard]] const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

 private:
  struct Literal {
    std::string path;
    const Route* route;
  };

  std::vector<std::unique_ptr<Route>> routes_;
  std::vector<Literal> literals_;  // paths without parameters that no earlier route takes
  std::vector<std::vector<const Route*>> by_length_;  // routes without "{x*}", by segment count
  std::vector<const Route*> open_;                    // routes with "{x*}"
};

// kOther when unknown; method names are case sensitive.
http::Method methodFromName(std::string_view name);
inline std::size_t indexOf(http::Method method) { return static_cast<std::size_t>(method); }

}  // namespace godwit::kinto
