#include "test_app.h"

#include <cstdio>
#include <cstdlib>

#include "auth/hmac.h"
#include "base/encoding.h"
#include "base/text.h"
#include "json/patch.h"

namespace godwit::kinto {

std::string Seen::header(std::string_view name) const {
  std::string_view rest = headers;
  while (!rest.empty()) {
    std::size_t end = rest.find("\r\n");
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    std::size_t colon = line.find(": ");
    if (equalIgnoreCase(line.substr(0, colon), name)) return std::string(line.substr(colon + 2));
  }
  return {};
}

json::Value Seen::json() const {
  auto parsed = json::parse(body);
  return parsed ? std::move(*parsed) : json::Value();
}

std::string Seen::at(std::string_view pointer) const {
  json::Value document = json();
  const json::Value* value = json::resolvePointer(document, pointer);
  return value ? json::dump(*value) : std::string();
}

Config TestApp::basicConfig() {
  Config config;
  config.policies.push_back({"basicauth", ""});
  return config;
}

std::vector<std::string> TestApp::backends() {
  std::vector<std::string> names;
  for (const TestBackend& each : testBackends()) names.push_back(each.name);
  return names;
}

std::vector<std::string> TestApp::backendsAndCaches() {
  std::vector<std::string> names = backends();
  for (const TestBackend& each : testCaches()) names.push_back(each.name);
  return names;
}

TestStores TestApp::openStores(const std::string& backend) {
  for (const auto* list : {&testBackends(), &testCaches()}) {
    for (const TestBackend& each : *list) {
      if (each.name == backend) return each.open();
    }
  }
  if (backend != "memory") std::abort();
  return openMemory();
}

TestApp::TestApp(Config config, TestStores stores, std::vector<std::unique_ptr<Plugin>> plugins)
    : stores_(std::move(stores)) {
  App::Parts parts;
  parts.backend = stores_.backend.get();
  parts.cache = stores_.cache.get();
  parts.plugins = std::move(plugins);
  auto made = App::make(std::move(config), std::move(parts));
  if (!made.ok()) {
    std::fprintf(stderr, "TestApp: %s\n", made.error().message.c_str());
    std::abort();
  }
  app_ = std::move(*made);
  reactor_ = std::make_unique<store::TestReactor>();
}

TestApp::~TestApp() {
  const Deadline deadline = Deadline::after(std::chrono::seconds(10));
  stores_.backend->stop(deadline);
  stores_.cache->stop(deadline);
  reactor_.reset();
  app_.reset();
}

std::string TestApp::userId(std::string_view name) const {
  return "basicauth:" +
         auth::hmacSha256Hex(app_->config().userid_hmac_secret, std::string(name) + ":secret");
}

std::string TestApp::inStore(const std::function<Task<std::string>(store::Session&)>& unit) {
  std::string made;
  auto work = [&](store::Session& session) -> Task<store::Verdict> {
    made = co_await unit(session);
    co_return store::Verdict::kCommit;
  };
  std::promise<bool> done;
  reactor_->post([&] {
    stores_.backend->run(store::Mode::kWrite, *reactor_, Deadline::after(std::chrono::seconds(60)),
                         work, [&](Result<store::Verdict> r) { done.set_value(r.ok()); });
  });
  if (!done.get_future().get()) std::abort();
  return made;
}

Seen TestApp::send(std::string_view method, std::string_view path, std::string_view as,
                   std::string_view body, HeaderList headers) {
  if (!as.empty()) {
    headers.emplace_back("Authorization", "Basic " + base64Encode(std::string(as) + ":secret"));
  }
  headers.emplace_back("Host", "localhost");
  bool typed = false;
  for (const auto& [name, value] : headers) typed = typed || equalIgnoreCase(name, "content-type");
  if (!body.empty() && !typed) headers.emplace_back("Content-Type", "application/json");
  std::string target =
      path.substr(0, 1) == "!" ? std::string(path.substr(1)) : "/v1" + std::string(path);
  std::vector<http::Header> views;
  for (const auto& [name, value] : headers) views.push_back({name, value});
  http::Request request;
  request.method = methodFromName(method);
  request.method_name = method;
  request.target = target;
  std::size_t question = target.find('?');
  request.path = std::string_view(target).substr(0, question);
  if (question != std::string::npos) request.query = std::string_view(target).substr(question + 1);
  request.headers = views;
  request.body = body;
  request.id = "test";
  std::promise<Seen> answered;
  reactor_->post([&] {
    app_->run(request, *reactor_, Deadline::after(std::chrono::seconds(60)),
              [&answered](Exchange& exchange) {
                const Answer& answer = exchange.call.answer;
                Seen seen;
                seen.status = answer.status;
                seen.body = answer.body;
                seen.headers = answer.headers();
                if (!answer.content_type.empty()) {
                  seen.headers += "Content-Type: " + std::string(answer.content_type) + "\r\n";
                }
                answered.set_value(std::move(seen));
              });
  });
  return answered.get_future().get();
}

}  // namespace godwit::kinto
