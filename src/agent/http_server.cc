#include "agent/http_server.h"

namespace godwit::agent {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

void appendReply(std::string& out, const HttpReply& r, bool keep_alive, bool head) {
  out += "HTTP/1.1 " + std::to_string(r.status) + " ";
  out += reason(r.status);
  out += "\r\n";
  if (r.status != 204) {
    out += "Content-Type: " + r.type + "\r\n";
    out += "Content-Length: " + std::to_string(r.body.size()) + "\r\n";
  }
  for (const auto& h : r.headers) out += h + "\r\n";
  if (!keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  if (!head && r.status != 204) out += r.body;
}

}  // namespace

class HttpServer::Connection final : public StreamConnection {
 public:
  explicit Connection(HttpServer& server) : server_(server), parser_(server.limits_) {}
  void serve() override;

 private:
  HttpServer& server_;
  HttpParser parser_;
};

void HttpServer::Connection::serve() {
  while (!in.empty() && canAnswer()) {
    std::size_t used = 0;
    auto state = parser_.feed(in, used);
    in.erase(0, used);
    if (state == HttpParser::State::kNeedMore) {
      if (parser_.takeExpectContinue()) out += "HTTP/1.1 100 Continue\r\n\r\n";
      return;
    }
    HttpReply reply;
    bool head = false;
    if (state == HttpParser::State::kError) {
      reply.status = parser_.errorStatus();
      reply.body = std::string(reason(reply.status)) + "\n";
      closing = true;
    } else {
      HttpRequest& request = parser_.request();
      head = request.method == "HEAD";
      reply = server_.handler_(request);
      closing = !request.keep_alive || server_.draining_;
    }
    appendReply(out, reply, !closing, head);
    parser_.reset();
  }
}

Result<> HttpServer::open(const Section& s, InheritedSockets& inherited) {
  limits_.body_bytes = static_cast<std::size_t>(s.size("max_body"));
  StreamOptions options;
  options.name = "http";
  options.max_connections = static_cast<std::size_t>(s.integer("max_connections"));
  options.idle = s.duration("idle_timeout");
  streams_.configure(std::move(options));
  for (const char* key : {"listen", "unix"}) {
    if (s.text(key).empty()) continue;
    GODWIT_TRY(streams_.listen(s.text(key), inherited,
                               [this](int) { return std::make_unique<Connection>(*this); }));
  }
  return {};
}

void HttpServer::stopAccepting() {
  draining_ = true;
  streams_.stopAccepting();
}

}  // namespace godwit::agent
