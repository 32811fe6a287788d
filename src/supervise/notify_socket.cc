#include "supervise/notify_socket.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/os_error.h"
#include "supervise/address.h"

namespace godwit::supervise {

NotifySocket::~NotifySocket() {
  if (fd_) loop_.remove(fd_.get());
}

Result<> NotifySocket::open(const std::string& path, uid_t owner, gid_t group) {
  auto address = unixAddress(path);
  if (!address.ok()) return std::move(address).error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return osError("create the notify socket");
  ::unlink(path.c_str());
  if (::bind(fd.get(), address->get(), address->length) != 0) return osError("bind " + path);
  ::chmod(path.c_str(), 0600);
  if (::geteuid() == 0 && ::chown(path.c_str(), owner, group) != 0) return osError("chown " + path);
  int one = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &one, sizeof one) != 0) {
    return osError("ask for the senders of notifications");
  }
  return adopt(std::move(fd), path);
}

Result<> NotifySocket::adopt(UniqueFd fd, const std::string& path) {
  fd_ = std::move(fd);
  path_ = path;
  return loop_.add(fd_.get(), EPOLLIN, [this](std::uint32_t) { receiveAll(); });
}

void NotifySocket::receiveAll() {
  // A child that floods the socket gets its turn again at the next event.
  for (int i = 0; i < 64; ++i) {
    char buffer[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(64 * sizeof(int))];
    iovec io{buffer, sizeof buffer};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(fd_.get(), &m, MSG_CMSG_CLOEXEC);
    if (n < 0) return;
    pid_t sender = 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level != SOL_SOCKET) continue;
      if (c->cmsg_type == SCM_CREDENTIALS) {
        ucred u{};
        std::memcpy(&u, CMSG_DATA(c), sizeof u);
        sender = u.pid;
      } else if (c->cmsg_type == SCM_RIGHTS) {
        std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t k = 0; k < count; ++k) {
          int fd = -1;
          std::memcpy(&fd, CMSG_DATA(c) + k * sizeof(int), sizeof fd);
          ::close(fd);
        }
      }
    }
    if (m.msg_flags & MSG_TRUNC) continue;
    handler_(sender, parseNotify({buffer, static_cast<std::size_t>(n)}));
  }
}

NotifySocket::Message parseNotify(std::string_view text) {
  NotifySocket::Message out;
  while (!text.empty()) {
    std::size_t eol = text.find('\n');
    std::string_view line = text.substr(0, eol);
    text = eol == std::string_view::npos ? "" : text.substr(eol + 1);
    std::size_t eq = line.find('=');
    if (eq == std::string_view::npos || eq == 0) continue;
    out[std::string(line.substr(0, eq))] = line.substr(eq + 1);
  }
  return out;
}

}  // namespace godwit::supervise
