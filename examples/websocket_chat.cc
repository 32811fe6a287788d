// A chat room: what one says, all hear. The message is framed and compressed once for everyone.
#include <algorithm>
#include <mutex>
#include <vector>

#include "common.h"
#include "godwit/http/websocket.h"

using namespace godwit;

namespace {

class Room {
 public:
  void join(const http::Request& request, http::Reply reply) {
    http::WebSocket::Events events;
    events.open = [this](http::WebSocket& ws) {
      std::lock_guard lock(mu_);
      members_.push_back(ws);
    };
    events.message = [this](http::WebSocket&, std::string_view text, bool) {
      const http::WsMessage message = http::WsMessage::text(text);
      std::lock_guard lock(mu_);
      // Who has gone is forgotten here.
      std::erase_if(members_, [&](http::WebSocket& member) { return !member.send(message); });
    };
    http::WebSocket::accept(request, std::move(reply), std::move(events));
  }
  void clear() { members_.clear(); }

 private:
  std::mutex mu_;  // members live on every loop
  std::vector<http::WebSocket> members_;
};

}  // namespace

int main(int argc, char** argv) {
  Room room;
  http::Server server;
  server.onRequest(
      [&](const http::Request& r, http::Reply reply) { room.join(r, std::move(reply)); });
  const int rc = serve(server, argc, argv);
  room.clear();
  return rc;
}
