#include "kinto/builtin.h"

#include <fstream>
#include <iterator>

#include "json/value.h"
#include "kinto/app.h"
#include "kinto/batch.h"
#include "kinto/exchange.h"

namespace godwit::kinto {
namespace {

std::unique_ptr<Route> makeRoute(std::string name, std::string pattern, http::Method method,
                                 Service service) {
  auto route = std::make_unique<Route>();
  route->name = std::move(name);
  route->pattern = std::move(pattern);
  route->methods = {method == http::Method::kPost ? "POST" : "GET"};
  route->services[indexOf(method)] = std::move(service);
  return route;
}

void helloText(Call& call) {
  const App::Hello& hello = call.app().hello();
  std::string& out = call.answer.body;
  constexpr std::size_t kUserAndUrl = 256;
  out.reserve(hello.head.size() + hello.middle.size() + hello.tail.size() + kUserAndUrl);
  out.assign(hello.head);
  std::string url = call.baseUrl();
  url.append("/").append(call.config().routePrefix()).append("/");
  json::dumpString(out, url);
  out += hello.middle;
  if (call.identity) {
    out += ",\"user\":{\"id\":";
    json::dumpString(out, call.user);
    out += ",\"principals\":[";
    for (std::size_t i = 0; i < call.principals.size(); ++i) {
      if (i > 0) out += ',';
      json::dumpString(out, call.principals[i]);
    }
    out += ']';
    if (!call.identity->profile_json.empty()) {
      out.append(",\"profile\":").append(call.identity->profile_json);
    }
    for (Plugin* plugin : call.app().helloUser()) plugin->helloUser(call, out);
    out += '}';
  }
  out += hello.tail;
}

// What nobody in particular is told depends on the URL alone. Each thread remembers the last one:
// load balancers and monitors ask this again and again, by one name.
void helloToAnyone(Call& call) {
  struct Last {
    std::uint64_t serial = 0;
    bool tls = false;
    std::string host, text;
  };
  thread_local Last last;
  constexpr std::size_t kMaxHost = 255;
  const std::uint64_t serial = call.app().hello().serial;
  const bool tls = call.exchange.request.tls;
  const std::string_view host = call.headers.host;
  if (last.serial != serial || last.tls != tls || last.host != host) {
    helloText(call);
    if (host.size() <= kMaxHost) last = {serial, tls, std::string(host), call.answer.body};
    return;
  }
  call.answer.body.assign(last.text);
}

void helloBody(Call& call) {
  if (call.identity) {
    helloText(call);
  } else {
    helloToAnyone(call);
  }
  const Config& config = call.config();
  if (config.readonly) {
    allowCaching(call.answer, config.root_cache_expires_seconds, call.app().clock().nowMs());
  }
}

// The three answers of one heartbeat, gathered on the loop thread.
struct Pulse {
  bool storage = false, cache = false;
  int missing = 2;
};

void heartbeat(Call& call, std::function<void()> done) {
  const App& app = call.app();
  Exchange& exchange = call.exchange;
  auto deadline = exchange.deadline.earlier(Deadline::after(app.config().heartbeat_timeout));
  // Shared by the two answers, which may come in either order.
  auto pulse = std::make_shared<Pulse>();
  auto beat = [&call, pulse, done = std::move(done)] {
    if (--pulse->missing > 0) return;
    auto word = [](bool b) { return b ? "true" : "false"; };
    // One store holds objects and permissions.
    call.answer.body = std::string("{\"storage\":") + word(pulse->storage) +
                       ",\"permission\":" + word(pulse->storage) +
                       ",\"cache\":" + word(pulse->cache) + "}";
    if (!pulse->storage || !pulse->cache) call.answer.status = 503;
    done();
  };
  auto storage = [pulse, beat](bool ok) {
    pulse->storage = ok;
    beat();
  };
  auto cache = [pulse, beat](bool ok) {
    pulse->cache = ok;
    beat();
  };
  app.backend().ping(exchange.reactor, deadline, !app.config().readonly, std::move(storage));
  app.cache().ping(exchange.reactor, deadline, std::move(cache));
}

// "" when the file is missing or no JSON.
std::string readVersion(const Config& config) {
  std::ifstream file(config.version_json_path, std::ios::binary);
  if (!file) return {};
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto parsed = json::parse(text);
  return parsed ? json::dump(*parsed) : std::string();
}

}  // namespace

std::unique_ptr<Route> makeHelloRoute() {
  Service service;
  service.anonymous = helloBody;
  service.work = [](store::Session&, Call& call) -> Task<bool> {
    helloBody(call);
    co_return true;
  };
  return makeRoute("hello", "/", http::Method::kGet, std::move(service));
}

std::unique_ptr<Route> makeHeartbeatRoute() {
  Service service;
  service.later = heartbeat;
  // Inside a batch there is a transaction already: the storage is there.
  service.now = [](Call& call) {
    call.answer.body = "{\"storage\":true,\"permission\":true,\"cache\":true}";
  };
  return makeRoute("heartbeat", "/__heartbeat__", http::Method::kGet, std::move(service));
}

std::unique_ptr<Route> makeLbHeartbeatRoute() {
  Service service;
  service.now = [](Call& call) { call.answer.body = "{}"; };
  return makeRoute("lbheartbeat", "/__lbheartbeat__", http::Method::kGet, std::move(service));
}

std::unique_ptr<Route> makeVersionRoute(const Config& config) {
  Service service;
  service.now = [version = readVersion(config)](Call& call) {
    // A file that was not there at start may have come since; one that was is kept.
    std::string text = version.empty() ? readVersion(call.config()) : version;
    if (text.empty()) return setInternal(call.answer, call.config());
    call.answer.body = std::move(text);
  };
  return makeRoute("version", "/__version__", http::Method::kGet, std::move(service));
}

std::unique_ptr<Route> makeBatchRoute() {
  Service service;
  service.work = [](store::Session& session, Call& call) { return runBatch(session, call); };
  service.needs_json = true;
  return makeRoute("batch", "/batch", http::Method::kPost, std::move(service));
}

std::unique_ptr<Route> makeOpenApiRoute() {
  Service service;
  service.now = [](Call& call) {
    const OpenApiDocument& document = call.app().openApi();
    std::string url = call.baseUrl();
    std::string& out = call.answer.body;
    out = document.head;
    json::dumpString(out, url.substr(url.find("//") + 2));
    out += document.tail;
  };
  return makeRoute("openapi", "/__api__", http::Method::kGet, std::move(service));
}

std::unique_ptr<Route> makeContributeRoute() {
  Service service;
  service.now = [](Call& call) {
    call.answer.body =
        R"({"name":"Godwit","description":"A JSON store that speaks Kinto's HTTP API and drops )"
        R"(nothing.","repository":{"url":".","license":"Apache-2.0","tests":"tests/"},)"
        R"("participate":{"home":"CONTRIBUTING.md","docs":"docs/"},)"
        R"("bugs":{"list":"CHANGELOG.md","report":"CONTRIBUTING.md"},)"
        R"("keywords":["JSON","REST","API","sync","storage","C++"]})";
  };
  return makeRoute("contribute.json", "/contribute.json", http::Method::kGet, std::move(service));
}

}  // namespace godwit::kinto
