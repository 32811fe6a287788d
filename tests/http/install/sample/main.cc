#include <chrono>
#include <cstdio>
#include <string>

#include "godwit/http/forms.h"
#include "godwit/http/metrics.h"
#include "godwit/http/router.h"
#include "godwit/http/server.h"
#include "godwit/http/sse.h"
#include "godwit/http/static_files.h"
#include "godwit/http/timer.h"
#include "godwit/http/websocket.h"
#include "godwit/http/workers.h"
#include "godwit/reactor.h"

// Serves itself one request from a timer's thread of control and exits 0 when that worked.
int main() {
  namespace http = godwit::http;
  http::Server::Options options;
  options.threads = 1;
  http::Server server(options);
  if (!server.listen("http://127.0.0.1:0").ok()) return 1;
  http::Router router;
  router.get("/hello/{name}", [](const http::Request&, const http::Params& p, http::Reply reply) {
    reply.reactor().post([] {});
    reply.send(200, "hello " + std::string(p["name"]));
  });
  router.attach(server);
  const std::string command = "curl -sS " + server.endpoints()[0] + "/hello/sample";
  std::string answer;
  http::Workers workers(server, 1, 1);
  server.onReady([&] {
    (void)workers.submit([&] {
      if (FILE* p = popen(command.c_str(), "r")) {
        char text[64];
        while (std::size_t n = fread(text, 1, sizeof text, p)) answer.append(text, n);
        pclose(p);
      }
      server.drain(godwit::Deadline::after(std::chrono::seconds(5)));
    });
  });
  auto report = server.run();
  std::printf("%s\n", answer.c_str());
  return report.ok() && answer == "hello sample" ? 0 : 1;
}
