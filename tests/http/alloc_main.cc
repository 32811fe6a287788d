// The constant route allocates nothing once it is warm: every operator new of the process is
// counted while one thread serves and the other asks with buffers of its own.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>

#include "godwit/http/server.h"

namespace {
std::atomic<long> g_allocations{0};
}

void* operator new(std::size_t n) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

constexpr char kRequest[] =
    "GET /constant HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";

// Asks `count` times, `depth` requests per write.
bool ask(int fd, int count, int depth) {
  static char batch[16 * sizeof kRequest];
  std::size_t n = 0;
  for (int i = 0; i < depth; ++i) {
    for (std::size_t k = 0; k + 1 < sizeof kRequest; ++k) batch[n++] = kRequest[k];
  }
  static char in[65536];
  static std::size_t response = 0;
  for (int i = 0; i < count; ++i) {
    if (::send(fd, batch, n, MSG_NOSIGNAL) != static_cast<ssize_t>(n)) return false;
    std::size_t got = 0;
    const std::size_t want = response * static_cast<std::size_t>(depth);
    do {
      ssize_t k = ::recv(fd, in, sizeof in, 0);
      if (k <= 0) return false;
      got += static_cast<std::size_t>(k);
      if (response == 0) response = got;  // the first is asked alone
    } while (got < want);
  }
  return true;
}

}  // namespace

int main() {
  godwit::http::Server::Options options;
  options.threads = 1;
  options.handle_signals = false;
  godwit::http::Server server(options);
  if (!server.listen("http://127.0.0.1:0").ok()) return 1;
  const std::string body(400, 'x');
  server.onRequest([&](const godwit::http::Request&, godwit::http::Reply reply) {
    godwit::http::Response& r = reply.response();
    r.header("Content-Type", "application/json");
    r.body.assign(body);
    reply.send();
  });
  std::atomic<bool> ready{false};
  server.onReady([&] {
    ready = true;
    ready.notify_one();
  });
  std::thread loop([&] { (void)server.run(); });
  ready.wait(false);
  const std::string url = server.endpoints()[0];
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(std::atoi(url.c_str() + url.rfind(':') + 1)));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  bool ok = ::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 && ask(fd, 1, 1) &&
            ask(fd, 200, 1) && ask(fd, 50, 16);
  const long before = g_allocations.load();
  ok = ok && ask(fd, 5000, 1) && ask(fd, 500, 16);
  const long after = g_allocations.load();
  std::printf("%ld allocations in 13000 requests\n", after - before);
  ::close(fd);
  server.stop();
  loop.join();
  // The Date line and the coarse timer may cost one each per second or so.
  return ok && after - before <= 50 ? 0 : 1;
}
