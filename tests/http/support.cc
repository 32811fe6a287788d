#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <future>

#include "http/text.h"

namespace godwit::http::test {
namespace {
constexpr int kPatienceMs = 20'000;
}

std::string Answer::header(std::string_view name) const {
  std::size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    std::size_t end = head.find("\r\n", at + 2);
    std::string_view line = std::string_view(head).substr(at + 2, end - at - 2);
    std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && iequals(line.substr(0, colon), name)) {
      return std::string(trim(line.substr(colon + 1)));
    }
    at = end;
  }
  return "";
}

Client::Client(const std::string& url, int receive_buffer) {
  if (url.starts_with("unix:")) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::string path = url.substr(5);
    std::memcpy(a.sun_path, path.data(), path.size());
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) fd_.reset();
    return;
  }
  std::string port = url.substr(url.rfind(':') + 1);
  const bool v6 = url.find('[') != std::string::npos;
  fd_.reset(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  auto number = static_cast<std::uint16_t>(std::stoi(port));
  int rc = 0;
  if (v6) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(number);
    a.sin6_addr = in6addr_loopback;
    rc = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a);
  } else {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(number);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a);
  }
  if (rc != 0) fd_.reset();
  int one = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Client::halfClose() { ::shutdown(fd_.get(), SHUT_WR); }

void Client::reset() {
  linger l{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &l, sizeof l);
  fd_.reset();
}

bool Client::fill() {
  pollfd p{fd_.get(), POLLIN, 0};
  if (::poll(&p, 1, kPatienceMs) != 1) return false;
  char block[65536];
  ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
  if (n <= 0) return false;
  in_.append(block, static_cast<std::size_t>(n));
  return true;
}

Answer Client::read(bool head_only) {
  Answer a;
  std::size_t end = 0;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return a;
  }
  a.head = in_.substr(0, end + 2);
  in_.erase(0, end + 4);
  a.status = std::atoi(a.head.c_str() + 9);
  if (head_only || a.status < 200 || a.status == 204 || a.status == 304) return a;
  if (iequals(a.header("Transfer-Encoding"), "chunked")) {
    for (;;) {
      std::size_t eol = 0;
      while ((eol = in_.find("\r\n")) == std::string::npos) {
        if (!fill()) return Answer();
      }
      std::size_t size = std::strtoul(in_.c_str(), nullptr, 16);
      while (in_.size() < eol + 2 + size + 2) {
        if (!fill()) return Answer();
      }
      a.body.append(in_, eol + 2, size);
      in_.erase(0, eol + 2 + size + 2);
      if (size == 0) return a;
    }
  }
  std::size_t length = std::strtoul(a.header("Content-Length").c_str(), nullptr, 10);
  while (in_.size() < length) {
    if (!fill()) return Answer();
  }
  a.body = in_.substr(0, length);
  in_.erase(0, length);
  return a;
}

Answer Client::get(std::string_view target) {
  send("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  return read();
}

std::string Client::readAll() {
  pollfd p{fd_.get(), POLLIN, 0};
  char block[65536];
  for (;;) {
    if (::poll(&p, 1, kPatienceMs) != 1) {
      in_ += "<timeout>";
      break;
    }
    ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
    if (n <= 0) break;
    in_.append(block, static_cast<std::size_t>(n));
  }
  return std::exchange(in_, {});
}

bool Client::closedByPeer() {
  std::string rest = readAll();
  return rest.empty();
}

std::string Client::readFor(int ms) {
  auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                    until - std::chrono::steady_clock::now())
                    .count();
    pollfd p{fd_.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) != 1) break;
    char block[65536];
    ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
    if (n <= 0) {
      ended_ = true;
      break;
    }
    in_.append(block, static_cast<std::size_t>(n));
  }
  return std::exchange(in_, {});
}

Server::Options TestServer::defaults() {
  Server::Options o;
  o.threads = 1;
  o.handle_signals = false;
  o.inherit_listeners = false;
  o.drain_idle = std::chrono::milliseconds(300);
  o.drain_grace = std::chrono::milliseconds(150);
  return o;
}

TestServer::TestServer(Handler handler, Server::Options options,
                       const std::function<void(Server&)>& setup, const std::string& url)
    : server_(std::make_unique<Server>(std::move(options))) {
  Result<void> bound = server_->listen(url);
  if (!bound.ok()) throw std::runtime_error(bound.error().message);
  url_ = server_->endpoints().at(0);
  server_->onRequest(std::move(handler));
  std::promise<void> ready;
  server_->onReady([&ready] { ready.set_value(); });
  if (setup) setup(*server_);
  thread_ = std::thread([this] {
    Result<DrainReport> r = server_->run();
    if (r.ok()) report_ = *r;
  });
  ready.get_future().wait();
}

TestServer::~TestServer() {
  if (thread_.joinable()) {
    server_->stop();
    thread_.join();
  }
}

DrainReport TestServer::drain(std::chrono::milliseconds deadline) {
  server_->drain(Deadline::after(deadline));
  return join();
}

DrainReport TestServer::join() {
  thread_.join();
  return report_;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  for (auto left = patience; left.count() > 0; --left) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

std::string tempDir() {
  std::string path = "/tmp/godwit-http-XXXXXX";
  if (!::mkdtemp(path.data())) throw std::runtime_error("mkdtemp");
  return path;
}

}  // namespace godwit::http::test
