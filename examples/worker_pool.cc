// Blocking work beside the loop: 4 threads, 64 waiting, the 65th gets 503 with Retry-After.
#include <chrono>
#include <thread>

#include "common.h"
#include "godwit/http/workers.h"

using namespace godwit;

int main(int argc, char** argv) {
  http::Server server;
  http::Workers workers(server, 4, 64);
  server.onRequest([&](const http::Request&, http::Reply reply) {
    workers.run(std::move(reply), [](http::Reply r) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // some library that blocks
      r.send(200, "computed\n");
    });
  });
  return serve(server, argc, argv);
}
