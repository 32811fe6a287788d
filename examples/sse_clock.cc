// A clock by server-sent events: curl -N http://127.0.0.1:8000/
#include <ctime>
#include <list>
#include <mutex>

#include "common.h"
#include "godwit/http/sse.h"
#include "godwit/http/timer.h"

using namespace godwit;

int main(int argc, char** argv) {
  std::mutex mu;
  std::list<http::EventStream> streams;
  http::Server server;
  server.onRequest([&](const http::Request& request, http::Reply reply) {
    std::lock_guard lock(mu);
    streams.push_back(http::EventStream::start(request, std::move(reply)));
  });
  http::Timer tick = http::Timer::every(server, std::chrono::milliseconds(1000), [&] {
    const std::string now = std::to_string(std::time(nullptr));
    std::lock_guard lock(mu);
    streams.remove_if([&](http::EventStream& s) { return !s.send({now, "tick", now}); });
  });
  const int rc = serve(server, argc, argv);
  streams.clear();
  return rc;
}
