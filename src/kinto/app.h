#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "base/clock.h"
#include "base/task.h"
#include "godwit/http/reply.h"
#include "godwit/http/request.h"
#include "kinto/call.h"
#include "kinto/config.h"
#include "kinto/exchange.h"
#include "kinto/openapi.h"
#include "kinto/plugin.h"
#include "kinto/resource.h"
#include "kinto/route.h"
#include "store/backend.h"

namespace godwit::kinto {

// The API: a table of endpoints over a backend and a cache, extended by plugins. Immutable once
// made; any number of loops may use it at once. Backend and cache must outlive it.
class App {
 public:
  struct Parts {
    store::Backend* backend = nullptr;
    store::Cache* cache = nullptr;
    const Clock* clock = &Clock::system();
    std::vector<std::unique_ptr<Plugin>> plugins;
    Parts() = default;
  };

  // Error: a plugin refuses its settings.
  static Result<std::unique_ptr<App>> make(Config config, Parts parts);
  ~App();

  // An http::Handler.
  void handle(const http::Request& request, http::Reply reply) const;
  // Words a 4xx or 5xx of the HTTP layer (a broken head, a body too large) as the API does. Any
  // thread.
  void protocolError(int status, http::Response& response) const;
  // The same as handle() without HTTP around it: `finished` is called once on `home`'s thread,
  // maybe before this returns, with the answer in exchange.call.answer. The request's views must
  // stay valid until then. Call on `home`'s thread.
  void run(const http::Request& request, Reactor& home, Deadline deadline,
           Exchange::Finished finished) const;

  // When no more requests come: ends what plugins do beside them, as Plugin::stop.
  void stop(Deadline deadline);

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] store::Backend& backend() const { return *parts_.backend; }
  [[nodiscard]] store::Cache& cache() const { return *parts_.cache; }
  [[nodiscard]] const Clock& clock() const { return *parts_.clock; }
  [[nodiscard]] const Router& router() const { return router_; }
  [[nodiscard]] const std::vector<std::unique_ptr<auth::Policy>>& policies() const {
    return policies_;
  }
  [[nodiscard]] const Resource* resource(std::string_view name) const;
  // Plugins that want one of `hooks`.
  [[nodiscard]] const std::vector<Plugin*>& preparing() const { return preparing_; }
  [[nodiscard]] const std::vector<Plugin*>& beforeWrite() const { return before_write_; }
  [[nodiscard]] const std::vector<Plugin*>& afterWrite() const { return after_write_; }
  [[nodiscard]] const std::vector<Plugin*>& beforeCascade() const { return before_cascade_; }
  [[nodiscard]] const std::vector<Plugin*>& beforeCommit() const { return before_commit_; }
  [[nodiscard]] const EventBus& events() const { return events_; }
  [[nodiscard]] const std::vector<Gauge>& gauges() const { return gauges_; }
  [[nodiscard]] const std::vector<Plugin*>& answered() const { return answered_; }
  [[nodiscard]] const std::vector<Plugin*>& helloUser() const { return hello_user_; }

  // Finds the endpoint. false: call.answer is complete but for the headers every answer has.
  bool route(Call& call) const;
  // Runs a routed call in a transaction, up to its answer without common headers.
  Task<void> execute(store::Session& session, Call& call) const;
  // Routes, executes and completes a call made inside a transaction.
  Task<void> invoke(store::Session& session, Call& call) const;
  // Adds what every answer carries: CORS, security, back-off, end of service.
  void complete(Call& call) const;
  // 401 or 403, as the user is known or not.
  void refuse(Call& call) const;
  // A storage call failed: makes the answer of it.
  void storageFailed(Call& call, const Error& error) const;

  // hello around the URL and the user.
  struct Hello {
    std::uint64_t serial = 0;  // of this process; no two have the same
    std::string head;          // up to and with "\"url\":"
    std::string middle;        // after the URL, up to where "user" goes
    std::string tail;          // ,"capabilities":{...}}
  };
  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] const OpenApiDocument& openApi() const { return openapi_; }

 private:
  class Builder;
  explicit App(Config config, Parts parts);

  // Set once
  Config config_;
  Parts parts_;
  std::string prefix_;  // "/v1"
  std::vector<std::unique_ptr<Resource>> resources_;
  Router router_;
  std::vector<std::unique_ptr<auth::Policy>> policies_;
  std::vector<Plugin*> preparing_, before_write_, after_write_, before_cascade_, before_commit_,
      answered_, hello_user_;
  EventBus events_;
  std::vector<Gauge> gauges_;
  Hello hello_;
  OpenApiDocument openapi_;
  std::string common_headers_;
  std::string expose_unrouted_;
  std::string alert_;
  bool any_origin_ = false;
  std::int64_t eos_ms_ = 0;  // 0: no end of service
};

// Makes a 503 for the list or object endpoints and the like.
bool parseDate(std::string_view text, std::int64_t& unix_ms);

}  // namespace godwit::kinto
