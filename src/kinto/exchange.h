#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "base/reactor.h"
#include "godwit/deadline.h"
#include "kinto/batch.h"
#include "kinto/call.h"
#include "kinto/event.h"
#include "store/backend.h"

namespace godwit::kinto {

class App;

// The life of one top-level request, from its arrival to the answer. Owns itself: started by
// App::run, destroyed after deliver(). On the loop thread but while the unit of work runs.
struct Exchange {
  using Finished = std::function<void(Exchange&)>;

  Exchange(const App& a, const http::Request& r, Reactor& home, Deadline d);
  virtual ~Exchange() = default;

  const App& app;
  http::Request request;  // views stay valid until deliver() was called
  Reactor& reactor;
  Deadline deadline;
  Call call;
  std::int64_t started_ms = 0;  // stays 0 when nobody will ask: hello to anyone

  // Who is behind each Authorization value in use.
  struct Known {
    std::string_view authorization;
    std::optional<auth::Identity> identity;
  };
  Known sender;
  std::vector<Known> others;  // of a batch; complete before the first is looked up: pointers stay
  std::optional<BatchRequest> batch;

  // DELETE page tokens: those redeemed before the work, and what became of them.
  std::vector<std::string> redeemed;
  std::vector<std::string> spent;   // by the work
  std::vector<std::string> issued;  // by the work, stored after it committed

  // Passwords sent, and their hashes: made before the work, because hashing is slow.
  std::vector<std::pair<std::string, std::string>> hashed;

  // Cache keys that the work made wrong. They are gone before anybody learns of the answer.
  std::vector<std::string> stale;

  std::vector<Event> events;  // of the work
  bool needs_scan = false;    // the work met a read that may be long; run it again as a scan
  bool needs_write = false;
  bool backend_failed = false;  // a storage call failed: roll back
  // Why. Told to the log at the end only: the backend may run the work again, and succeed.
  std::optional<Error> failure;
  store::Mode mode = store::Mode::kPoint;

  void start();
  // Milliseconds since the request arrived.
  [[nodiscard]] std::int64_t tookMs() const;
  // Where a nested call finds its user. Only values resolved before the work are known.
  [[nodiscard]] const auth::Identity* identityOf(std::string_view authorization) const;

 protected:
  // Takes the finished answer out of `call`.
  virtual void deliver() = 0;

 private:
  using IdentityResult = Result<std::optional<auth::Identity>>;

  [[nodiscard]] Known& known(std::size_t i) { return i == 0 ? sender : others[i - 1]; }
  // Asks the policies from `policy` on about the credentials from `credential` on. `failed`: a
  // policy asked about this one could not tell.
  void authenticate(std::size_t credential, std::size_t policy, bool failed);
  void redeem(std::size_t next);
  void prepare(std::size_t next);
  void run();
  Task<store::Verdict> work(store::Session& session);
  void worked(Result<store::Verdict> result);
  void settleTokens(bool committed, std::size_t next);
  void forget(std::size_t next);
  void finish();

  std::vector<std::string> tokens_;  // to redeem
  int attempts_ = 0;                 // of the work
};

// A read that touches few rows, for which a loop thread may wait.
[[nodiscard]] bool isShortRead(const Call& call);

}  // namespace godwit::kinto
