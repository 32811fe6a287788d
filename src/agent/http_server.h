// The agent's HTTP listener: connections, limits, keep-alive. What a request means is decided by
// the handler. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/config.h"
#include "agent/http_parser.h"
#include "agent/loop.h"
#include "agent/sockets.h"

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
  HttpServer(Loop& loop, HttpHandler handler) : loop_(loop), handler_(std::move(handler)) {}
  ~HttpServer();

  Result<> open(const Section& settings, InheritedSockets& inherited);
  // No new connections; open ones are closed behind their current answer.
  void stopAccepting();
  void close();
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Connection {
    UniqueFd fd;
    HttpParser parser;
    std::string in;
    std::string out;
    bool closing = false;  // after `out` is sent
    Loop::Clock::time_point last;
    explicit Connection(HttpLimits limits) : parser(limits) {}
  };
  struct Listener {
    UniqueFd fd;
    bool inherited;
    std::string path;
  };

  Result<> listen(const std::string& address, InheritedSockets& inherited);
  void accept(int listener);
  void onEvent(int fd, std::uint32_t events);
  void serve(Connection& c);
  bool flush(Connection& c);
  void drop(int fd);
  void sweep();

  Loop& loop_;
  HttpHandler handler_;
  HttpLimits limits_;
  std::size_t max_connections_ = 256;
  std::chrono::nanoseconds idle_{std::chrono::seconds(60)};
  Loop::TimerId sweeper_ = 0;
  bool draining_ = false;
  std::uint64_t refused_ = 0;
  std::vector<Listener> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

}  // namespace godwit::agent
