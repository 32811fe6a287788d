#include "net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/os_error.h"
#include "net/stream.h"

namespace godwit::net {
namespace {

constexpr std::string_view kHint = " (hint: http://127.0.0.1:8000 or unix:/run/name.sock)";

socklen_t unixAddress(const std::string& path, sockaddr_un& addr) {
  addr.sun_family = AF_UNIX;
  std::memcpy(addr.sun_path, path.data(), path.size());
  if (path[0] == '@') addr.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                (path[0] == '@' ? 0 : 1));
}

std::string urlOf(int fd, bool tls) {
  sockaddr_storage ss{};
  socklen_t len = sizeof ss;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&ss), &len) != 0) return "";
  if (ss.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(ss);
    std::string path;
    if (len > offsetof(sockaddr_un, sun_path)) {
      std::size_t n = len - offsetof(sockaddr_un, sun_path);
      path.assign(un.sun_path, n);
      if (path[0] == '\0') {
        path[0] = '@';
      } else {
        path.resize(std::strlen(path.c_str()));
      }
    }
    return (tls ? "unix+tls:" : "unix:") + path;
  }
  std::string host = addressText(ss);
  unsigned short port = ss.ss_family == AF_INET
                            ? ntohs(reinterpret_cast<const sockaddr_in&>(ss).sin_port)
                            : ntohs(reinterpret_cast<const sockaddr_in6&>(ss).sin6_port);
  if (host.find(':') != std::string::npos) host = '[' + host + ']';
  return (tls ? "https://" : "http://") + host + ':' + std::to_string(port);
}

// True when the socket file may go: it is a socket and nobody listens on it.
Result<void> clearStale(const std::string& path, const sockaddr_un& addr, socklen_t len) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) {
    return errno == ENOENT ? Result<void>() : osError("look at " + path);
  }
  if (!S_ISSOCK(st.st_mode)) {
    return Error(ErrorCode::kConflict, "cannot listen on " + path + ": it is not a socket");
  }
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&addr), len) == 0 ||
      errno != ECONNREFUSED) {
    return Error(ErrorCode::kConflict, "cannot listen on " + path + ": another process does");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return osError("remove the stale " + path);
  return {};
}

}  // namespace

std::string addressText(const sockaddr_storage& ss) {
  char text[INET6_ADDRSTRLEN] = "";
  if (ss.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(ss);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
  } else if (ss.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(ss);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
      inet_ntop(AF_INET, &in.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    }
  }
  return text;
}

Result<Endpoint> Endpoint::parse(std::string_view url) {
  Endpoint e;
  auto invalid = [&](std::string_view why) {
    return Error(ErrorCode::kInvalid, "cannot listen on '" + std::string(url) +
                                          "': " + std::string(why) + std::string(kHint));
  };
  std::string_view rest = url;
  auto strip = [&](std::string_view prefix) {
    if (!rest.starts_with(prefix)) return false;
    rest.remove_prefix(prefix.size());
    return true;
  };
  if (strip("unix+tls:")) {
    e.unix_socket = e.tls = true;
  } else if (strip("unix:")) {
    e.unix_socket = true;
  } else if (strip("https://")) {
    e.tls = true;
  } else if (!strip("http://")) {
    return invalid("unknown scheme");
  }
  if (e.unix_socket) {
    if (rest.starts_with("//")) rest.remove_prefix(2);
    if (rest.empty()) return invalid("empty path");
    if (rest.size() >= sizeof(sockaddr_un::sun_path)) return invalid("path is too long");
    if (rest.find('\0') != std::string_view::npos) return invalid("NUL in path");
    e.path = rest;
    return e;
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::size_t colon = rest.rfind(':');
  if (rest.starts_with('[')) {
    std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return invalid("unbalanced '['");
    e.host = rest.substr(1, close - 1);
    colon = close + 1 < rest.size() && rest[close + 1] == ':' ? close + 1 : std::string_view::npos;
    if (colon == std::string_view::npos && close + 1 != rest.size()) return invalid("bad address");
  } else {
    e.host = rest.substr(0, colon);
  }
  if (colon == std::string_view::npos) {
    e.port = e.tls ? 443 : 80;
  } else {
    std::string_view digits = rest.substr(colon + 1);
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), e.port);
    if (digits.empty() || ec != std::errc() || end != digits.data() + digits.size()) {
      return invalid("the port is not a number from 0 to 65535");
    }
  }
  if (e.host.empty() || e.host == "*") e.host = "0.0.0.0";
  return e;
}

Result<Listener> Listener::bind(const Endpoint& where, const Options& options) {
  Listener l;
  l.tls_ = where.tls;
  constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (where.unix_socket) {
    sockaddr_un addr{};
    socklen_t len = unixAddress(where.path, addr);
    l.unix_ = true;
    l.fd_.reset(::socket(AF_UNIX, kType, 0));
    if (!l.fd_) return osError("create a unix socket");
    const bool file = where.path[0] != '@';
    if (file) GODWIT_TRY(clearStale(where.path, addr, len));
    if (::bind(l.fd(), reinterpret_cast<sockaddr*>(&addr), len) != 0) {
      return osError("bind " + where.path);
    }
    if (file) {
      struct stat st {};
      if (::stat(where.path.c_str(), &st) == 0) {
        l.path_ = where.path;
        l.device_ = st.st_dev;
        l.inode_ = st.st_ino;
      }
      if (options.unix_mode && ::chmod(where.path.c_str(), options.unix_mode) != 0) {
        return osError("set the mode of " + where.path);
      }
    }
  } else {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    std::string port = std::to_string(where.port);
    if (int e = ::getaddrinfo(where.host.c_str(), port.c_str(), &hints, &found); e != 0) {
      return Error(ErrorCode::kInvalid,
                   "cannot listen on '" + where.host + "': " + ::gai_strerror(e));
    }
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);
    l.fd_.reset(::socket(found->ai_family, kType, 0));
    if (!l.fd_) return osError("create a TCP socket");
    int one = 1;
    ::setsockopt(l.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (options.reuse_port) ::setsockopt(l.fd(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (::bind(l.fd(), found->ai_addr, found->ai_addrlen) != 0) {
      return osError("bind " + where.host + ':' + port);
    }
  }
  if (!l.unix_) tuneAccepted(l.fd());  // accepted sockets inherit it
  if (::listen(l.fd(), options.backlog) != 0) return osError("listen on " + urlOf(l.fd(), l.tls_));
  l.url_ = urlOf(l.fd(), l.tls_);
  return l;
}

Result<Listener> Listener::adopt(UniqueFd fd, bool tls) {
  int listening = 0;
  int domain = 0;
  socklen_t len = sizeof listening;
  const std::string name = "use inherited descriptor " + std::to_string(fd.get());
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0) {
    return osError(name);
  }
  if (!listening) return Error(ErrorCode::kInvalid, "cannot " + name + ": it does not listen");
  len = sizeof domain;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &len);
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) return osError(name);
  Listener l;
  l.tls_ = tls;
  l.inherited_ = true;
  l.unix_ = domain == AF_UNIX;
  l.fd_ = std::move(fd);
  l.url_ = urlOf(l.fd(), tls);
  return l;
}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::move(other.fd_);
    url_ = std::move(other.url_);
    path_ = std::exchange(other.path_, {});
    device_ = other.device_;
    inode_ = other.inode_;
    tls_ = other.tls_;
    unix_ = other.unix_;
    inherited_ = other.inherited_;
  }
  return *this;
}

Listener::~Listener() { close(); }

void Listener::close() {
  if (!path_.empty() && fd_) {
    struct stat st {};
    if (::lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ && st.st_ino == inode_) {
      ::unlink(path_.c_str());
    }
  }
  path_.clear();
  fd_.reset();
}

bool Listener::refuseNew() {
  if (inherited_ || !fd_) return false;
  if (unix_) {
    // Nobody finds the socket any more; who has connected waits in the queue.
    if (!path_.empty()) {
      struct stat st {};
      if (::lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ && st.st_ino == inode_) {
        ::unlink(path_.c_str());
      }
      path_.clear();
    }
    return true;
  }
  // Byte 13 of a TCP header holds the flags: drop SYN without ACK, pass the rest.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  return ::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

std::vector<InheritedFd> takeInheritedFds() {
  constexpr int kFirst = 3;
  std::vector<InheritedFd> fds;
  auto number = [](const char* name) {
    const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): start-up
    int v = 0;
    if (text) std::from_chars(text, text + std::strlen(text), v);
    return v;
  };
  int count = number("LISTEN_FDS");
  bool ours = number("LISTEN_PID") == ::getpid();
  std::string names;
  if (const char* n = std::getenv("LISTEN_FDNAMES")) names = n;  // NOLINT(concurrency-mt-unsafe)
  for (const char* v : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) {
    if (ours) ::unsetenv(v);  // NOLINT(concurrency-mt-unsafe)
  }
  if (!ours || count < 0 || count > 1024) return fds;
  for (int i = 0; i < count; ++i) {
    int fd = kFirst + i;
    if (int flags = ::fcntl(fd, F_GETFD); flags >= 0) {
      ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
      std::size_t colon = names.find(':');
      fds.push_back({fd, names.substr(0, colon)});
    }
    std::size_t colon = names.find(':');
    names = colon == std::string::npos ? "" : names.substr(colon + 1);
  }
  return fds;
}

}  // namespace godwit::net
