#include "supervise/socket_call.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os_error.h"

namespace godwit::supervise {

bool setInt(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

std::optional<int> getInt(int fd, int level, int option) {
  int value = 0;
  socklen_t n = sizeof value;
  if (::getsockopt(fd, level, option, &value, &n) != 0) return std::nullopt;
  return value;
}

void keepOverExec(int fd) {
  if (fd >= 0) ::fcntl(fd, F_SETFD, 0);
}
void closeOnExec(int fd) {
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

void resetConnection(int fd) {
  linger l{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  ::close(fd);
}

int resetQueue(int listen_fd) {
  int n = 0;
  while (n < 65536 && readable(listen_fd)) {
    int c = ::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (c < 0) break;
    resetConnection(c);
    ++n;
  }
  return n;
}

Result<> prepareSocket(int fd, const ListenSpec& s, int family) {
  setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, s.v6only ? 1 : 0);
  if (s.freebind && !setInt(fd, IPPROTO_IP, IP_FREEBIND, 1)) return osError("set freebind");
  if (s.mark && !setInt(fd, SOL_SOCKET, SO_MARK, static_cast<int>(*s.mark))) {
    return osError("set mark on " + s.address());
  }
  if (!s.iface.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s.iface.c_str(),
                                       static_cast<socklen_t>(s.iface.size())) != 0) {
    return osError("bind " + s.address() + " to " + s.iface);
  }
  if (s.kind != ListenKind::kUdp) {
    if (s.nodelay) setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (s.defer_s > 0) setInt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, s.defer_s);
    if (s.fastopen > 0) setInt(fd, IPPROTO_TCP, TCP_FASTOPEN, s.fastopen);
  }
  return {};
}

}  // namespace godwit::supervise
