// bench-links: http
// The server under test: `/` is a constant response of about 698 bytes, `/ws` joins a room,
// `/broadcast` sends one message to all of it. usage: http_server_peer URL [CERTIFICATE KEY]
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "godwit/http/server.h"
#include "godwit/http/websocket.h"

using namespace godwit;

namespace {

struct Room {
  std::mutex mu;
  std::vector<http::WebSocket> members;

  void join(const http::Request& request, http::Reply reply) {
    http::WebSocket::Events events;
    events.open = [this](http::WebSocket& ws) {
      std::lock_guard lock(mu);
      members.push_back(ws);
    };
    http::WebSocket::accept(request, std::move(reply), std::move(events));
  }
  std::size_t broadcast() {
    const http::WsMessage message = http::WsMessage::text(std::string(500, 'm'));
    std::lock_guard lock(mu);
    std::erase_if(members, [&](http::WebSocket& ws) { return !ws.send(message); });
    return members.size();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    std::fprintf(stderr, "usage: http_server_peer URL [CERTIFICATE KEY]\n");
    return 2;
  }
  http::Server::Options options;
  options.threads = 1;
  options.limits.idle_timeout = std::chrono::hours(1);
  http::Server server(options);
  if (argc == 4) {
    http::Tls files;
    files.certificate = argv[2];
    files.key = argv[3];
    if (!server.useTls(files).ok()) return 1;
  }
  if (Result<void> r = server.listen(argv[1]); !r.ok()) {
    std::fprintf(stderr, "http_server_peer: %s\n", r.error().message.c_str());
    return 1;
  }
  http::Response prepared;
  prepared.header("Content-Type", "application/json");
  prepared.header("ETag", "\"1700000000123\"");
  prepared.header("Cache-Control", "no-cache, no-store");
  prepared.header("Access-Control-Expose-Headers", "Backoff, Retry-After, Content-Length, Alert");
  prepared.header("X-Content-Type-Options", "nosniff");
  const std::string headers = prepared.headerBlock();
  const std::string body = "{\"data\":\"" + std::string(400, 'x') + "\"}";
  Room room;
  server.onRequest([&](const http::Request& request, http::Reply reply) {
    if (request.path == "/ws") return room.join(request, std::move(reply));
    if (request.path == "/broadcast") return reply.send(200, std::to_string(room.broadcast()));
    http::Response& r = reply.response();
    r.appendHeaderBlock(headers);
    r.body.assign(body);
    reply.send();
  });
  const bool ok = server.run().ok();
  room.members.clear();
  return ok ? 0 : 1;
}
