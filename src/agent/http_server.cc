#include "agent/http_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "base/log.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kMaxUnsent = 64u << 20;

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

HttpServer::~HttpServer() { close(); }

Result<> HttpServer::open(const Section& s, InheritedSockets& inherited) {
  limits_.body_bytes = static_cast<std::size_t>(s.size("max_body"));
  max_connections_ = static_cast<std::size_t>(s.integer("max_connections"));
  idle_ = s.duration("idle_timeout");
  for (const char* key : {"listen", "unix"}) {
    if (!s.text(key).empty()) GODWIT_TRY(listen(s.text(key), inherited));
  }
  sweeper_ = loop_.every(std::chrono::seconds(5), [this] { sweep(); });
  return {};
}

Result<> HttpServer::listen(const std::string& address, InheritedSockets& inherited) {
  auto socket = openSocket(address, SOCK_STREAM, inherited);
  if (!socket) return std::move(socket).error();
  int fd = socket->fd.get();
  GODWIT_TRY(loop_.add(fd, EPOLLIN, [this, fd](std::uint32_t) { accept(fd); }));
  bool path = address.find('/') != std::string::npos;
  listeners_.push_back({std::move(socket->fd), socket->inherited, path ? address : std::string()});
  log::info("http.listening", {{"address", address}});
  return {};
}

void HttpServer::accept(int listener) {
  for (int i = 0; i < 64; ++i) {
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (connections_.size() >= max_connections_) {
      ++refused_;
      continue;
    }
    auto c = std::make_unique<Connection>(limits_);
    int raw = fd.get();
    c->fd = std::move(fd);
    c->last = Loop::Clock::now();
    if (!loop_.add(raw, EPOLLIN, [this, raw](std::uint32_t e) { onEvent(raw, e); })) continue;
    connections_[raw] = std::move(c);
  }
}

void HttpServer::drop(int fd) {
  loop_.remove(fd);
  connections_.erase(fd);
}

void HttpServer::onEvent(int fd, std::uint32_t events) {
  auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  Connection& c = *it->second;
  c.last = Loop::Clock::now();
  if ((events & EPOLLOUT) && !flush(c)) return drop(fd);
  if (!c.out.empty()) return;  // the client reads slower than it asks: no more until it has read
  if (c.closing) return drop(fd);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    std::array<char, 65536> buf;
    for (int i = 0; i < 16; ++i) {
      ssize_t n = ::read(fd, buf.data(), buf.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return drop(fd);
      c.in.append(buf.data(), static_cast<std::size_t>(n));
      serve(c);
      if (!c.out.empty() || c.closing) break;
    }
  } else {
    serve(c);  // what was read before the answer blocked
  }
  if (!flush(c)) return drop(fd);
  if (c.out.empty() && c.closing) drop(fd);
}

void HttpServer::serve(Connection& c) {
  while (!c.in.empty() && !c.closing && c.out.size() < kMaxUnsent) {
    std::size_t used = 0;
    auto state = c.parser.feed(c.in, used);
    c.in.erase(0, used);
    if (state == HttpParser::State::kNeedMore) {
      if (c.parser.takeExpectContinue()) c.out += "HTTP/1.1 100 Continue\r\n\r\n";
      return;
    }
    HttpReply reply;
    bool head = false;
    if (state == HttpParser::State::kError) {
      reply.status = c.parser.errorStatus();
      reply.body = std::string(reason(reply.status)) + "\n";
      c.closing = true;
    } else {
      HttpRequest& request = c.parser.request();
      head = request.method == "HEAD";
      reply = handler_(request);
      c.closing = !request.keep_alive || draining_;
    }
    appendReply(c.out, reply, !c.closing, head);
    c.parser.reset();
  }
}

// False: the connection is broken.
bool HttpServer::flush(Connection& c) {
  while (!c.out.empty()) {
    ssize_t n = ::send(c.fd.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.modify(c.fd.get(), EPOLLOUT);
      return true;
    }
    if (n <= 0) return false;
    c.out.erase(0, static_cast<std::size_t>(n));
  }
  loop_.modify(c.fd.get(), EPOLLIN);
  return true;
}

void HttpServer::sweep() {
  auto now = Loop::Clock::now();
  std::vector<int> old;
  for (const auto& [fd, c] : connections_) {
    if (now - c->last > idle_) old.push_back(fd);
  }
  for (int fd : old) drop(fd);
}

void HttpServer::stopAccepting() {
  draining_ = true;
  for (auto& l : listeners_) {
    loop_.remove(l.fd.get());
    if (!l.inherited && !l.path.empty()) ::unlink(l.path.c_str());
  }
  listeners_.clear();
}

void HttpServer::close() {
  stopAccepting();
  if (sweeper_) loop_.cancel(sweeper_);
  sweeper_ = 0;
  while (!connections_.empty()) drop(connections_.begin()->first);
}

}  // namespace godwit::agent
