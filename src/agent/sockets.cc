#include "agent/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>

#include "base/os_error.h"

namespace godwit::agent {
namespace {

bool sameAddress(const SocketAddress& a, const SocketAddress& b) {
  if (a.storage.ss_family != b.storage.ss_family) return false;
  if (a.storage.ss_family == AF_INET) {
    const auto& x = reinterpret_cast<const sockaddr_in&>(a.storage);
    const auto& y = reinterpret_cast<const sockaddr_in&>(b.storage);
    return x.sin_port == y.sin_port && x.sin_addr.s_addr == y.sin_addr.s_addr;
  }
  if (a.storage.ss_family == AF_INET6) {
    const auto& x = reinterpret_cast<const sockaddr_in6&>(a.storage);
    const auto& y = reinterpret_cast<const sockaddr_in6&>(b.storage);
    return x.sin6_port == y.sin6_port &&
           std::memcmp(&x.sin6_addr, &y.sin6_addr, sizeof x.sin6_addr) == 0;
  }
  return addressText(a) == addressText(b);
}

// Somebody listens there: a connect succeeds (or is refused for another reason than absence).
bool alive(const SocketAddress& a, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return true;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&a.storage), a.size) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

}  // namespace

Result<SocketAddress> parseAddress(std::string_view text) {
  SocketAddress out;
  if (text.find('/') != std::string_view::npos || text.starts_with('@')) {
    auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
    un.sun_family = AF_UNIX;
    if (text.size() >= sizeof un.sun_path) {
      return Error(ErrorCode::kInvalid, "socket path too long: " + std::string(text));
    }
    std::memcpy(un.sun_path, text.data(), text.size());
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
    if (text[0] == '@') {
      un.sun_path[0] = '\0';
      --out.size;
    }
    return out;
  }
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Error(ErrorCode::kInvalid, "address without port: " + std::string(text));
  }
  std::string host(text.substr(0, colon));
  std::string port(text.substr(colon + 1));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty()) host = "127.0.0.1";
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (int r = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list); r != 0) {
    return Error(ErrorCode::kInvalid,
                 "cannot resolve " + std::string(text) + ": " + ::gai_strerror(r));
  }
  std::memcpy(&out.storage, list->ai_addr, list->ai_addrlen);
  out.size = list->ai_addrlen;
  ::freeaddrinfo(list);
  return out;
}

std::string addressText(const SocketAddress& a) {
  if (a.storage.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(a.storage);
    std::size_t n =
        a.size > offsetof(sockaddr_un, sun_path) ? a.size - offsetof(sockaddr_un, sun_path) : 0;
    if (n > 0 && un.sun_path[0] == '\0') return "@" + std::string(un.sun_path + 1, n - 1);
    return std::string(un.sun_path, ::strnlen(un.sun_path, n));
  }
  char host[INET6_ADDRSTRLEN] = {};
  if (a.storage.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(a.storage);
    ::inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]:" + std::to_string(ntohs(in.sin6_port));
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(a.storage);
  ::inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
  return std::string(host) + ":" + std::to_string(ntohs(in.sin_port));
}

InheritedSockets InheritedSockets::fromEnvironment() {
  InheritedSockets out;
  const char* pid = std::getenv("LISTEN_PID");
  const char* fds = std::getenv("LISTEN_FDS");
  bool ours = fds && (!pid || std::strtol(pid, nullptr, 10) == ::getpid());
  long n = ours ? std::strtol(fds, nullptr, 10) : 0;
  for (int fd = 3; fd < 3 + n && n <= 64; ++fd) {
    Entry e;
    socklen_t size = sizeof e.type;
    e.address.size = sizeof e.address.storage;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &e.type, &size) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&e.address.storage), &e.address.size) != 0) {
      continue;
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    e.fd.reset(fd);
    out.entries_.push_back(std::move(e));
  }
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_FDNAMES");
  return out;
}

std::optional<UniqueFd> InheritedSockets::take(const SocketAddress& address, int type) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->type != type || !sameAddress(it->address, address)) continue;
    UniqueFd fd = std::move(it->fd);
    entries_.erase(it);
    return fd;
  }
  return std::nullopt;
}

std::vector<std::string> InheritedSockets::unused() const {
  std::vector<std::string> out;
  for (const Entry& e : entries_) out.push_back(addressText(e.address));
  return out;
}

Result<OpenSocket> openSocket(std::string_view text, int type, InheritedSockets& inherited) {
  auto address = parseAddress(text);
  if (!address) return std::move(address).error();
  OpenSocket out;
  if (auto fd = inherited.take(*address, type)) {
    out.fd = std::move(*fd);
    out.inherited = true;
    return out;
  }
  int family = address->storage.ss_family;
  std::string what = "listen on " + std::string(text);
  out.fd.reset(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return osError(what);
  int on = 1;
  if (family == AF_INET6) {
    ::setsockopt(out.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (type == SOCK_STREAM && family != AF_UNIX) {
    ::setsockopt(out.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  bool path = family == AF_UNIX && text[0] != '@';
  if (path) {
    struct stat st {};
    std::string p(text);
    if (::lstat(p.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) {
      if (alive(*address, type)) {
        return Error(ErrorCode::kConflict, "cannot " + what + ": somebody listens there");
      }
      ::unlink(p.c_str());
    }
  }
  if (::bind(out.fd.get(), reinterpret_cast<sockaddr*>(&address->storage), address->size) != 0) {
    return osError(what);
  }
  if (path) ::chmod(std::string(text).c_str(), 0666);
  if (type == SOCK_STREAM && ::listen(out.fd.get(), 1024) != 0) return osError(what);
  return out;
}

}  // namespace godwit::agent
