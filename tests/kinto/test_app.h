#pragma once

#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "json/value.h"
#include "kinto/app.h"
#include "store/backend.h"
#include "store/test_reactor.h"
#include "test_backend.h"

namespace godwit::kinto {

// An answer as a client sees it.
struct Seen {
  int status = 0;
  std::string body;
  std::string headers;

  [[nodiscard]] std::string header(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return !header(name).empty(); }
  [[nodiscard]] json::Value json() const;
  // Value at a JSON pointer as JSON text, "" when absent.
  [[nodiscard]] std::string at(std::string_view pointer) const;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// The whole API over a backend, without sockets. Calls are made on a loop thread of its own.
class TestApp {
 public:
  explicit TestApp(Config config = basicConfig(), const std::string& backend = "memory",
                   std::vector<std::unique_ptr<Plugin>> plugins = {})
      : TestApp(std::move(config), openStores(backend), std::move(plugins)) {}
  TestApp(Config config, TestStores stores, std::vector<std::unique_ptr<Plugin>> plugins);
  ~TestApp();

  // basicauth on, nothing else unusual.
  static Config basicConfig();
  // Names of the backends the scenarios run on, and those together with testCaches().
  static std::vector<std::string> backends();
  static std::vector<std::string> backendsAndCaches();

  // `as`: a user name, "" for nobody. `path` without version prefix unless it starts with '!'.
  Seen send(std::string_view method, std::string_view path, std::string_view as = "",
            std::string_view body = "", HeaderList headers = {});
  Seen get(std::string_view path, std::string_view as = "", HeaderList headers = {}) {
    return send("GET", path, as, "", std::move(headers));
  }
  Seen put(std::string_view path, std::string_view as, std::string_view body = "",
           HeaderList headers = {}) {
    return send("PUT", path, as, body, std::move(headers));
  }
  Seen post(std::string_view path, std::string_view as, std::string_view body = "",
            HeaderList headers = {}) {
    return send("POST", path, as, body, std::move(headers));
  }
  Seen patch(std::string_view path, std::string_view as, std::string_view body,
             HeaderList headers = {}) {
    return send("PATCH", path, as, body, std::move(headers));
  }
  Seen del(std::string_view path, std::string_view as, HeaderList headers = {}) {
    return send("DELETE", path, as, "", std::move(headers));
  }

  // The prefixed user id of `name`.
  [[nodiscard]] std::string userId(std::string_view name) const;
  [[nodiscard]] const App& app() const { return *app_; }
  // Runs `unit` in a write transaction of its own, beside the API; returns what it made.
  std::string inStore(const std::function<Task<std::string>(store::Session&)>& unit);

 private:
  static TestStores openStores(const std::string& backend);

  TestStores stores_;
  std::unique_ptr<App> app_;
  std::unique_ptr<store::TestReactor> reactor_;
};

}  // namespace godwit::kinto
