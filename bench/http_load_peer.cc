// bench-links: base
// Load on raw epoll: CONNECTIONS keep-alive connections, each with DEPTH requests in flight as one
// write, for SECONDS, over plain TCP. Prints requests, seconds, and the size of one response.
// usage: http_load_peer HOST PORT PATH CONNECTIONS DEPTH SECONDS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Peer {
  int fd = -1;
  std::size_t got = 0;
};

// 369 bytes, as a browser would send.
std::string requestFor(const std::string& path) {
  std::string head =
      "GET " + path +
      " HTTP/1.1\r\nHost: localhost:8888\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
      "Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\n"
      "Accept-Encoding: gzip, deflate\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n"
      "Origin: http://localhost:3000\r\nConnection: keep-alive\r\n";
  const std::size_t rest = head.size() + 2 + 11;  // "X-Pad: " + CRLF + CRLF
  std::string pad(rest < 369 ? 369 - rest : 1, 'p');
  return head + "X-Pad: " + pad + "\r\n\r\n";
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: http_load_peer HOST PORT PATH CONNECTIONS DEPTH SECONDS\n");
    return 2;
  }
  const int connections = std::atoi(argv[4]);
  const int depth = std::atoi(argv[5]);
  const double seconds = std::atof(argv[6]);
  const std::string one = requestFor(argv[3]);
  std::string batch;
  for (int i = 0; i < depth; ++i) batch += one;
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
  inet_pton(AF_INET, argv[1], &a.sin_addr);
  int ep = epoll_create1(0);
  std::vector<Peer> peers(static_cast<std::size_t>(connections));
  std::size_t response = 0;  // bytes of one response, learnt from the first
  static char block[1 << 20];
  for (Peer& p : peers) {
    p.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(p.fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
      std::perror("connect");
      return 1;
    }
    int on = 1;
    setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // One at first, to learn the size and to warm up.
    if (send(p.fd, one.data(), one.size(), MSG_NOSIGNAL) < 0) return 1;
    std::string text;
    std::size_t want = 0;
    while (want == 0 || text.size() < want) {
      ssize_t n = recv(p.fd, block, sizeof block, 0);
      if (n <= 0) {
        std::fprintf(stderr, "http_load_peer: closed early\n");
        return 1;
      }
      text.append(block, static_cast<std::size_t>(n));
      std::size_t end = text.find("\r\n\r\n");
      std::size_t cl = text.find("ontent-Length: ");
      if (cl == std::string::npos) cl = text.find("ontent-length: ");
      if (end != std::string::npos && cl != std::string::npos) {
        want = end + 4 + std::strtoul(text.c_str() + cl + 15, nullptr, 10);
      }
    }
    if (text.compare(9, 3, "200") != 0) {
      std::fprintf(stderr, "http_load_peer: %.30s\n", text.c_str());
      return 1;
    }
    response = want;
    epoll_event ev{};
    ev.events = EPOLLIN;
    ev.data.ptr = &p;
    epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev);
  }
  const std::size_t full = response * static_cast<std::size_t>(depth);
  std::uint64_t done = 0;
  const double start = now();
  for (Peer& p : peers) {
    if (send(p.fd, batch.data(), batch.size(), MSG_NOSIGNAL) < 0) return 1;
  }
  epoll_event events[256];
  double end = start;
  for (unsigned turn = 0;; ++turn) {
    if (turn % 16 == 0 && (end = now()) - start >= seconds) break;
    int n = epoll_wait(ep, events, 256, 1000);
    for (int i = 0; i < n; ++i) {
      Peer& p = *static_cast<Peer*>(events[i].data.ptr);
      ssize_t k = recv(p.fd, block, sizeof block, MSG_DONTWAIT);
      if (k <= 0) {
        std::fprintf(stderr, "http_load_peer: connection lost\n");
        return 1;
      }
      p.got += static_cast<std::size_t>(k);
      if (p.got < full) continue;
      p.got -= full;
      done += static_cast<std::uint64_t>(depth);
      if (send(p.fd, batch.data(), batch.size(), MSG_NOSIGNAL) < 0) return 1;
    }
  }
  std::printf("%llu %.3f %zu\n", static_cast<unsigned long long>(done), end - start, response);
  return 0;
}
