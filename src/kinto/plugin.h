#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "base/reactor.h"
#include "base/task.h"
#include "godwit/deadline.h"
#include "kinto/call.h"
#include "kinto/event.h"
#include "kinto/event_bus.h"
#include "kinto/operation.h"
#include "store/backend.h"

namespace godwit::kinto {

// An object about to be written. Hooks may change data and permissions.
struct Draft {
  Action action = Action::kCreate;
  const Resource* resource = nullptr;
  std::string uri;
  store::Object object;  // last_modified: what was asked for, 0 for none
  const store::Object* old = nullptr;
  store::Permissions permissions;  // named permissions get these principals, [] empties one
};

// A number that /__metrics__ shows.
struct Gauge {
  std::string name;    // "godwit_listener_events_total"
  std::string labels;  // "listener=\"redis\"", "" for none
  bool counter = true;
  std::function<std::uint64_t()> read;  // any thread
};

// What a plugin may add while the App is being made. Everything it hands over is owned by the App
// and lives as long.
class Setup {
 public:
  virtual ~Setup() = default;
  [[nodiscard]] virtual const Config& config() const = 0;
  virtual store::Backend& backend() = 0;
  virtual store::Cache& cache() = 0;
  // Compiles the resource and adds its routes. Returns where it lives.
  virtual const Resource* addResource(Resource resource) = 0;
  // A built-in or added resource by name, to extend its rules and field checks before the App is
  // compiled; nullptr when unknown.
  virtual Resource* resource(std::string_view name) = 0;
  virtual void addRoute(std::unique_ptr<Route> route) = 0;
  // hello's capabilities; `json` is an object.
  virtual void addCapability(std::string name, std::string json) = 0;
  virtual void addPublicSetting(std::string name, std::string json) = 0;
  // Hears of what has been committed.
  virtual EventBus& events() = 0;
  // Those of one name one after the other.
  virtual void addGauge(Gauge gauge) = 0;
  // How a client authenticates by policy `name`: a security definition of OpenAPI 2.0, an object.
  virtual void addSecurity(std::string name, std::string json) = 0;
  // Tried in the order of multiauth.policies, where it stands as `configured`.
  virtual void addPolicy(std::string configured, std::unique_ptr<auth::Policy> policy) = 0;
};

// A feature that can be switched on. Immutable once set up: hooks run on any thread, many at once.
class Plugin {
 public:
  // Which hooks are wanted; the others are never called and cost nothing.
  enum Hooks : unsigned {
    kNone = 0,
    kPrepare = 1,
    kBeforeWrite = 2,
    kAfterWrite = 4,
    kHello = 8,
    kAnswered = 16,
    kBeforeCascade = 32,
    kBeforeCommit = 64,
    kTimesStores = 128  // no hook: the calls to the stores are to be timed (StoreMeter)
  };

  virtual ~Plugin() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual unsigned hooks() const { return kNone; }

  // Error: the settings make no sense; the server does not start.
  virtual Result<void> setUp(Setup& setup) = 0;

  // Loop thread, before the transaction and outside of it: slow work (hashing a password) on the
  // plugin's own threads. `done` on the loop thread. Setting call.answer to an error ends it.
  virtual void prepare(Call&, Reactor&, std::function<void()> done) { done(); }

  // In the transaction. false: call.answer holds an error. May run again when the transaction is.
  virtual Task<bool> beforeWrite(store::Session&, Call&, Draft&) { co_return true; }
  // Once the object itself is stored or deleted, while what lies below it is still there.
  virtual Task<bool> beforeCascade(store::Session&, Call&, Event&) { co_return true; }
  virtual Task<bool> afterWrite(store::Session&, Call&, const Event&) { co_return true; }
  // After the last change of a request, or of a whole batch, that is about to be committed. The
  // call is the top-level one; its exchange has the events.
  virtual Task<bool> beforeCommit(store::Session&, Call&) { co_return true; }

  // Loop thread, for every top-level request, before it is sent.
  virtual void answered(const Call&) const {}
  // Adds members (",\"bucket\":\"...\"") to hello's user object.
  virtual void helloUser(const Call&, std::string&) const {}

  // When no more requests come: finishes what it does beside them, until the deadline. Blocks; not
  // on a loop thread.
  virtual void stop(Deadline) {}
};

}  // namespace godwit::kinto
