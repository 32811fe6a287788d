#include "kinto/exchange.h"

#include <algorithm>

#include "base/log.h"
#include "kinto/app.h"
#include "kinto/operation.h"
#include "kinto/page_token.h"

namespace godwit::kinto {
namespace {

// A list this short, ordered by time alone, is one short walk over an index.
constexpr std::uint64_t kPointListLimit = 200;
// Times a unit of work may change its mind about scanning or writing.
constexpr int kMaxModeChanges = 3;

bool isRead(http::Method method) {
  return method == http::Method::kGet || method == http::Method::kHead;
}

}  // namespace

Exchange::Exchange(const App& a, const http::Request& r, Reactor& home, Deadline d)
    : app(a), request(r), reactor(home), deadline(d), call(*this) {
  call.method = r.method;
  call.method_name = r.method_name;
  call.raw_path = r.path;
  call.raw_query = r.query;
  gather(r.headers, call.headers);
  call.body = r.body;
  if (!a.answered().empty()) started_ms = a.clock().nowMs();
}

std::int64_t Exchange::tookMs() const { return app.clock().nowMs() - started_ms; }

const auth::Identity* Exchange::identityOf(std::string_view authorization) const {
  if (sender.authorization == authorization) return sender.identity ? &*sender.identity : nullptr;
  for (const Known& k : others) {
    if (k.authorization == authorization) return k.identity ? &*k.identity : nullptr;
  }
  return nullptr;
}

void Exchange::start() {
  if (!app.route(call)) return finish();
  const Service* service = call.service();
  if (service && service->now && !service->work && !service->later) {
    service->now(call);
    return finish();
  }
  if (service && service->later) {
    service->later(call, [this] { finish(); });
    return;
  }
  // A clock costs as much as parsing a header, and hello to anyone has no use for it.
  const bool timeless = service && service->anonymous && call.headers.authorization.empty();
  if (started_ms == 0 && !timeless) started_ms = app.clock().nowMs();
  sender.authorization = call.headers.authorization;
  if (call.method == http::Method::kPost && call.route->name == "batch") {
    std::vector<Problem> problems;
    if (call.origin_refused) {
      problems.emplace_back("header", "Origin", std::string(call.headers.origin) + " not allowed");
    }
    batch = parseBatch(call, problems);
    if (!problems.empty()) {
      setInvalid(call.answer, std::move(problems));
      return finish();
    }
    for (const BatchItem& item : batch->items) {
      Headers own;
      own.authorization = call.headers.authorization;
      for (const auto& [name, value] : item.headers) own.set(name, value);
      bool seen = own.authorization == sender.authorization ||
                  std::any_of(others.begin(), others.end(),
                              [&](const Known& k) { return k.authorization == own.authorization; });
      if (!seen) others.push_back({own.authorization, std::nullopt});
    }
  }
  authenticate(0, 0, false);
}

void Exchange::authenticate(std::size_t credential, std::size_t policy, bool failed) {
  const auto& policies = app.policies();
  for (; credential <= others.size(); ++credential, policy = 0, failed = false) {
    Known& k = known(credential);
    auth::Presented presented{k.authorization, request.remote};
    for (; policy < policies.size() && !k.identity; ++policy) {
      auth::Identity identity;
      auto verdict = policies[policy]->decide(presented, identity);
      // A policy that takes any credentials must not give its identity to somebody whom the one
      // before it would have known.
      if (verdict == auth::Policy::Verdict::kYes && !failed) k.identity = std::move(identity);
      if (verdict != auth::Policy::Verdict::kLater) continue;
      // The policies after one that has to wait are asked when it has answered.
      auto answered = [this, credential, policy, failed](IdentityResult result) {
        bool away = !result.ok();
        if (away) {
          log::warn("identity cannot be checked", {{"policy", app.policies()[policy]->name()},
                                                   {"error", result.error().message},
                                                   {"detail", result.error().detail}});
          setUnavailable(call.answer, app.config());
        }
        if (!away && *result) known(credential).identity = std::move(**result);
        authenticate(credential, policy + 1, failed || away);
      };
      policies[policy]->authenticate(presented, reactor, deadline, std::move(answered));
      return;
    }
    // call.answer tells who failed.
    if (failed && !k.identity) return finish();
    if (failed) call.answer.clear();
  }
  call.identity = identityOf(call.headers.authorization);
  if (call.identity) call.user = call.identity->prefixed();
  const Service* service = call.service();
  if (service && service->anonymous && !call.identity && !call.origin_refused) {
    service->anonymous(call);
    return finish();
  }
  if (!service) parseOperation(call, started_ms);

  auto noteToken = [this](std::string_view method, std::string_view query) {
    if (method != "DELETE" || query.find("_token=") == std::string_view::npos) return;
    auto pairs = parseQuery(query);
    if (!pairs) return;
    for (const auto& [name, value] : *pairs) {
      if (name != "_token") continue;
      if (auto token = readPageToken(value)) tokens_.push_back(token->nonce);
    }
  };
  noteToken(call.method_name, call.raw_query);
  if (batch) {
    for (const BatchItem& item : batch->items) noteToken(item.method, item.query);
  }
  redeem(0);
}

bool isShortRead(const Call& call) {
  if (!call.operation || !call.operation->plural) return true;
  if (call.operation->resource->compute) return false;
  const ListQuery& list = call.operation->list;
  return call.method == http::Method::kGet && list.only_last_modified &&
         list.limit <= kPointListLimit;
}

// A page token of DELETE works once. It is taken before the work and put back if that fails.
void Exchange::redeem(std::size_t next) {
  if (next >= tokens_.size()) return prepare(0);
  app.cache().take(reactor, tokens_[next], [this, next](auto got) {
    if (got.ok() && *got) redeemed.push_back(tokens_[next]);
    redeem(next + 1);
  });
}

void Exchange::prepare(std::size_t next) {
  const auto& plugins = app.preparing();
  if (next >= plugins.size()) {
    const Service* service = call.service();
    bool write = service ? service->writes : !isRead(call.method);
    if (batch) write = !batch->only_reads;
    mode = write ? store::Mode::kWrite : store::Mode::kPoint;
    if (batch && !write) mode = store::Mode::kScan;
    if (!write && !isShortRead(call)) mode = store::Mode::kScan;
    return run();
  }
  plugins[next]->prepare(call, reactor, [this, next] {
    if (call.answer.status >= 400) return finish();
    prepare(next + 1);
  });
}

void Exchange::run() {
  auto unit = [this](store::Session& session) { return work(session); };
  auto done = [this](Result<store::Verdict> result) { worked(std::move(result)); };
  // Who is nobody has written nothing that they would look for.
  bool nearby = mode != store::Mode::kWrite && !batch && isRead(call.method) &&
                (!call.identity || app.config().read_nearby);
  if (nearby)
    return app.backend().runNearby(mode, reactor, deadline, std::move(unit), std::move(done));
  app.backend().run(mode, reactor, deadline, std::move(unit), std::move(done));
}

Task<store::Verdict> Exchange::work(store::Session& session) {
  events.clear();
  spent.clear();
  issued.clear();
  stale.clear();
  backend_failed = needs_scan = needs_write = false;
  failure.reset();
  call.answer.clear();
  call.answered_as = nullptr;
  if (call.operation && attempts_++ > 0) {
    // An earlier attempt may have changed it.
    parseOperation(call, started_ms);
  }
  co_await app.execute(session, call);
  bool commit = !backend_failed && !needs_scan && !needs_write && call.answer.status < 400;
  if (commit && !events.empty()) {
    for (Plugin* plugin : app.beforeCommit()) {
      commit = co_await plugin->beforeCommit(session, call);
      if (!commit) break;
    }
  }
  co_return commit ? store::Verdict::kCommit : store::Verdict::kRollback;
}

void Exchange::worked(Result<store::Verdict> result) {
  bool wants_write = needs_write || (!result.ok() && result.error().code == ErrorCode::kNeedsWrite);
  // A read may have to note the first timestamp of a list. Read-only servers leave that to others
  // where there are others: a memory store has none.
  bool may_write = !app.config().readonly || app.backend().name() == "memory";
  if (wants_write && mode != store::Mode::kWrite && may_write) {
    mode = store::Mode::kWrite;
    return run();
  }
  if (needs_scan && mode == store::Mode::kPoint) {
    mode = store::Mode::kScan;
    return run();
  }
  if (!result.ok() && !(call.answer.errno_code != 0 && wants_write)) {
    app.storageFailed(call, result.error());
  }
  bool committed = result.ok() && *result == store::Verdict::kCommit;
  if (!committed) events.clear();
  settleTokens(committed, 0);
}

void Exchange::settleTokens(bool committed, std::size_t next) {
  std::vector<std::string> keep;
  if (committed) keep = issued;
  for (const std::string& nonce : redeemed) {
    bool used = committed && std::find(spent.begin(), spent.end(), nonce) != spent.end();
    if (!used) keep.push_back(nonce);
  }
  if (next < keep.size()) {
    app.cache().set(reactor, keep[next], "1", app.config().pagination_token_validity,
                    [this, committed, next](auto) { settleTokens(committed, next + 1); });
    return;
  }
  if (committed) return forget(0);
  finish();
}

void Exchange::forget(std::size_t next) {
  if (next < stale.size()) {
    app.cache().take(reactor, stale[next], [this, next](auto) { forget(next + 1); });
    return;
  }
  app.events().publish(events);
  finish();
}

void Exchange::finish() {
  if (failure && failure->code == ErrorCode::kInternal) {
    log::error("request failed", {{"error", failure->message}, {"detail", failure->detail}});
  } else if (failure) {
    log::warn("storage unavailable", {{"error", failure->message}, {"detail", failure->detail}});
  }
  app.complete(call);
  for (Plugin* plugin : app.answered()) plugin->answered(call);
  deliver();
  delete this;
}

}  // namespace godwit::kinto
