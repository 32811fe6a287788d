#include "kinto/admin.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace godwit::kinto {
namespace {

constexpr std::size_t kMaxAsked = 16;  // more are told to come again

json::Value describe(const RollingWindow& window, std::chrono::steady_clock::time_point now) {
  RollingWindow::Summary s = window.summary(now);
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("per_second", s.rate);
  o.set("p50_ms", s.p50_ms);
  o.set("p99_ms", s.p99_ms);
  o.set("failures", s.failures);
  o.set("client_errors", s.client_errors);
  o.set("total", s.total);
  o.set("total_failures", s.total_failures);
  return v;
}

// A page elsewhere whose name was made to mean 127.0.0.1 must not read this.
bool ownName(std::string_view host) {
  std::string_view name =
      host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
  return name.empty() || name == "localhost" || name == "[::1]" || name.starts_with("127.");
}

void answer(http::Reply& reply, std::string type, std::string body) {
  http::Response& r = reply.response();
  r.status = 200;
  r.header("Content-Type", type);
  r.header("Cache-Control", "no-store");
  r.header("X-Content-Type-Options", "nosniff");
  r.body = std::move(body);
}

}  // namespace

Admin::Admin(Parts parts)
    : parts_(std::move(parts)),
      page_(statusPage()),
      policy_(statusPagePolicy()),
      workers_(parts_.server, 1, kMaxAsked) {}

json::Value Admin::own() const {
  auto now = std::chrono::steady_clock::now();
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("version", parts_.version);
  o.set("pid", static_cast<std::int64_t>(::getpid()));
  const char* generation = std::getenv("GENERATION");  // NOLINT(concurrency-mt-unsafe): never set
  o.set("generation", static_cast<std::int64_t>(std::atoll(generation ? generation : "0")));
  o.set("uptime_s", std::chrono::duration_cast<std::chrono::seconds>(now - started_).count());
  o.set("draining", parts_.server.draining());
  json::Value requests = describe(parts_.metrics.requests(), now);
  http::Stats stats = parts_.server.stats();
  // Without the one that asks.
  requests.asObject().set(
      "waiting", stats.requests_pending - std::min<std::uint64_t>(stats.requests_pending, 1));
  json::Value history = json::Value::array();
  for (std::uint32_t n : parts_.metrics.requests().history(now)) {
    history.asArray().emplace_back(static_cast<std::int64_t>(n));
  }
  requests.asObject().set("history", std::move(history));
  o.set("requests", std::move(requests));
  json::Value connections = json::Value::object();
  connections.asObject().set("open", stats.connections_open);
  connections.asObject().set("refused", stats.connections_refused);
  o.set("connections", std::move(connections));
  json::Value storage = json::Value::object();
  storage.asObject().set("backend", parts_.backend.name());
  storage.asObject().set("place", parts_.place);
  json::Value reads = describe(parts_.metrics.reads(), now);
  reads.asObject().set("waiting", parts_.backend.waitingReads());
  json::Value writes = describe(parts_.metrics.writes(), now);
  writes.asObject().set("waiting", parts_.backend.waitingWrites());
  storage.asObject().set("reads", std::move(reads));
  storage.asObject().set("writes", std::move(writes));
  o.set("storage", std::move(storage));
  return v;
}

void Admin::handle(const http::Request& request, http::Reply reply) {
  reply.setRoute(ServerMetrics::kAdminRoute, false);
  if (!ownName(request.header("host"))) return reply.send(421, "not a name of this machine\n");
  bool read = request.method == http::Method::kGet || request.method == http::Method::kHead;
  if (request.path == "/") {
    reply.response().header("Location", "/__status__");
    return reply.send(302, "see /__status__\n");
  }
  if (request.path != "/__status__" && request.path != "/__status__.json") {
    return reply.send(404, "not here (hint: /__status__)\n");
  }
  if (!read) {
    reply.response().header("Allow", "GET, HEAD");
    return reply.send(405, "only GET\n");
  }
  if (request.path == "/__status__") {
    answer(reply, "text/html; charset=utf-8", page_);
    reply.response().header("Content-Security-Policy", policy_);
    reply.response().header("Referrer-Policy", "no-referrer");
    return reply.send();
  }
  workers_.run(std::move(reply), [this](http::Reply r) {
    json::Value all = json::Value::object();
    all.asObject().set("server", own());
    if (parts_.surroundings) parts_.surroundings(all.asObject());
    answer(r, "application/json", json::dump(all));
    r.send();
  });
}

}  // namespace godwit::kinto
