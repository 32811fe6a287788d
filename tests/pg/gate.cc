#include "gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <list>
#include <stdexcept>

namespace godwit::test {

struct Gate::Link {
  int client = -1;
  int server = -1;
  bool dead = false;
};

Gate::Gate(int target_port) : target_(target_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof a;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&a), len) != 0 ||
      ::listen(listener_, 64) != 0) {
    throw std::runtime_error("gate");
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &len);
  port_ = ntohs(a.sin_port);
  thread_ = std::thread([this] { run(); });
}

Gate::~Gate() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

void Gate::cutOn(const std::string& bytes, bool pass) {
  std::lock_guard lock(mu_);
  cut_on_ = bytes;
  cut_pass_ = pass;
}

void Gate::abort(Link& link) {
  linger hard{1, 0};  // a reset, not an orderly end
  for (int fd : {link.client, link.server}) {
    if (fd < 0) continue;
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(fd);
  }
  link.client = link.server = -1;
  link.dead = true;
}

void Gate::forward(Link& link, int from, int to, bool to_server) {
  std::array<char, 65536> buffer;
  ssize_t n = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0) {
    if (errno != EAGAIN) abort(link);
    return;
  }
  if (n == 0) return abort(link);
  bool cut = false;
  bool pass = true;
  if (to_server) {
    std::lock_guard lock(mu_);
    std::string_view seen(buffer.data(), static_cast<std::size_t>(n));
    if (!cut_on_.empty() && seen.find(cut_on_) != std::string_view::npos) {
      cut = true;
      pass = cut_pass_;
      cut_on_.clear();
    }
  }
  if (delay_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms_.load()));
  for (ssize_t sent = 0; pass && sent < n;) {
    ssize_t m = ::send(to, buffer.data() + sent, static_cast<std::size_t>(n - sent), MSG_NOSIGNAL);
    if (m <= 0) return abort(link);
    sent += m;
  }
  if (cut) {
    ++cuts_;
    // The server gets its bytes before the connection ends for it.
    if (pass) {
      ::shutdown(link.server, SHUT_WR);
      linger hard{1, 0};
      ::setsockopt(link.client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      ::close(link.client);
      ::close(link.server);
      link.client = link.server = -1;
      link.dead = true;
    } else {
      abort(link);
    }
  }
}

void Gate::run() {
  std::list<Link> links;
  int resets = 0;
  while (!stop_) {
    auto mode = static_cast<Mode>(mode_.load());
    if (mode == Mode::kRefuse || resets != resets_) {
      resets = resets_;
      for (auto& l : links) abort(l);
    }
    links.remove_if([](const Link& l) { return l.dead; });
    std::vector<pollfd> fds = {{listener_, POLLIN, 0}};
    if (mode == Mode::kOpen) {
      for (auto& l : links) {
        fds.push_back({l.client, POLLIN, 0});
        fds.push_back({l.server, POLLIN, 0});
      }
    }
    ::poll(fds.data(), fds.size(), 10);
    if (fds[0].revents & POLLIN) {
      Link l;
      l.client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      l.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in a{};
      a.sin_family = AF_INET;
      a.sin_port = htons(static_cast<std::uint16_t>(target_));
      a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (mode == Mode::kRefuse ||
          ::connect(l.server, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
        abort(l);
      } else {
        int on = 1;
        ::setsockopt(l.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(l.server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      }
      links.push_back(l);
      continue;  // the poll set is of another list now
    }
    if (mode != Mode::kOpen) continue;
    std::size_t i = 1;
    for (auto& l : links) {
      if (!l.dead && (fds[i].revents & (POLLIN | POLLHUP | POLLERR))) {
        forward(l, l.client, l.server, true);
      }
      ++i;
      if (!l.dead && (fds[i].revents & (POLLIN | POLLHUP | POLLERR))) {
        forward(l, l.server, l.client, false);
      }
      ++i;
    }
  }
  for (auto& l : links) abort(l);
}

}  // namespace godwit::test
