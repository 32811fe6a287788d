// The agent's HTTP listener: requests, limits, keep-alive. What a request means is decided by
// the handler. Loop thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/http_parser.h"
#include "agent/stream_listener.h"

namespace godwit::agent {

struct HttpReply {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::string> headers;  // "Name: value"
};
using HttpHandler = std::function<HttpReply(HttpRequest&)>;

class HttpServer {
 public:
  HttpServer(Loop& loop, HttpHandler handler) : streams_(loop), handler_(std::move(handler)) {}

  Result<> open(const Section& settings, InheritedSockets& inherited);
  // No new connections; open ones are closed behind their current answer.
  void stopAccepting();
  void close() { streams_.close(); }
  [[nodiscard]] std::size_t connections() const { return streams_.connections(); }

 private:
  class Connection;

  StreamListener streams_;
  HttpHandler handler_;
  HttpLimits limits_;
  bool draining_ = false;
};

}  // namespace godwit::agent
