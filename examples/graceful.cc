// Everything that can be open when the signal comes, and how each of it ends: short requests, slow
// ones on workers, a download, an event stream, a WebSocket, a timer. systemd unit and Dockerfile
// are in deploy/.
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "common.h"
#include "godwit/http/router.h"
#include "godwit/http/sse.h"
#include "godwit/http/timer.h"
#include "godwit/http/websocket.h"
#include "godwit/http/workers.h"

using namespace godwit;

int main(int argc, char** argv) {
  http::Server::Options options;
  options.drain_deadline = std::chrono::seconds(10);  // less than TimeoutStopSec of the unit
  http::Server server(options);
  http::Workers workers(server, 2, 100);
  std::mutex mu;
  std::vector<http::EventStream> streams;
  http::Router router;

  router.get("/", [](const auto&, const auto&, http::Reply reply) { reply.send(200, "quick\n"); });
  // Drain: queued and running work is finished and answered, then the threads are joined.
  router.get("/slow", [&](const auto&, const auto&, http::Reply reply) {
    workers.run(std::move(reply), [](http::Reply r) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      r.send(200, "slow\n");
    });
  });
  // Drain: sent to the end, however slowly it is read, until the deadline.
  router.get("/download", [](const auto&, const auto&, http::Reply reply) {
    reply.send(200, std::string(20'000'000, 'd'));
  });
  // Drain: told when to come back, then ended.
  router.get("/events", [&](const http::Request& r, const auto&, http::Reply reply) {
    std::lock_guard lock(mu);
    streams.push_back(http::EventStream::start(r, std::move(reply)));
  });
  // Drain: closed with 1001, the client's answer is waited for.
  router.get("/ws", [](const http::Request& r, const auto&, http::Reply reply) {
    http::WebSocket::Events events;
    events.message = [](http::WebSocket& ws, std::string_view m, bool) { ws.send(m); };
    http::WebSocket::accept(r, std::move(reply), std::move(events));
  });
  router.attach(server);

  // Drain: no timer fires any more.
  http::Timer tick = http::Timer::every(server, std::chrono::milliseconds(200), [&] {
    std::lock_guard lock(mu);
    std::erase_if(streams, [](http::EventStream& s) { return !s.send("tick"); });
  });
  server.onDrain([] { std::puts("draining"); });
  server.onStopped([](Deadline) { std::puts("closing the database"); });
  const int rc = serve(server, argc, argv);
  streams.clear();
  return rc;
}
