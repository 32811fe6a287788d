#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace godwit::net {
namespace {
template <class F>
ssize_t again(F call) {
  for (;;) {
    ssize_t n = call();
    if (n >= 0) return n;
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

#if defined(__SANITIZE_THREAD__)
// Threads may have their order from a socket alone; the sanitizer sees it in these functions only.
ssize_t receive(int fd, void* data, std::size_t size) { return ::recv(fd, data, size, 0); }
ssize_t transmit(int fd, const void* data, std::size_t size) {
  return ::send(fd, data, size, MSG_NOSIGNAL);
}
#else
// Not by recv() and send(): in a program with threads these let themselves be cancelled, at four
// atomic operations a request, and nothing here cancels threads.
ssize_t receive(int fd, void* data, std::size_t size) {
  return ::syscall(SYS_recvfrom, fd, data, size, 0, nullptr, nullptr);
}
ssize_t transmit(int fd, const void* data, std::size_t size) {
  return ::syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL, nullptr, 0);
}
#endif

}  // namespace

ssize_t Stream::read(void* data, std::size_t size) {
  if (layer_) return layer_->read(data, size);
  return again([&] { return receive(fd_.get(), data, size); });
}

ssize_t Stream::write(const void* data, std::size_t size) {
  if (layer_) return layer_->write(data, size);
  return again([&] { return transmit(fd_.get(), data, size); });
}

ssize_t Stream::writev(const iovec* parts, int count) {
  if (count == 1) return write(parts[0].iov_base, parts[0].iov_len);
  if (!layer_) {
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(parts);
    m.msg_iovlen = static_cast<std::size_t>(count);
    return again([&] { return ::sendmsg(fd_.get(), &m, MSG_NOSIGNAL); });
  }
  ssize_t total = 0;
  for (int i = 0; i < count; ++i) {
    const auto* p = static_cast<const char*>(parts[i].iov_base);
    std::size_t left = parts[i].iov_len;
    while (left > 0) {
      ssize_t n = layer_->write(p, left);
      if (n < 0) return total > 0 ? total : n;
      total += n;
      p += n;
      left -= static_cast<std::size_t>(n);
    }
  }
  return total;
}

ssize_t Stream::sendFile(int file, off_t offset, std::size_t size) {
  if (!layer_) {
    return again([&] { return ::sendfile(fd_.get(), file, &offset, size); });
  }
  // One TLS record at a time: encryption needs the bytes in user space.
  char block[16384];
  ssize_t n = again([&] { return ::pread(file, block, std::min(size, sizeof block), offset); });
  if (n <= 0) return n;
  return layer_->write(block, static_cast<std::size_t>(n));
}

void Stream::shutdownWrite() {
  if (layer_) layer_->shutdown();
  ::shutdown(fd_.get(), SHUT_WR);
}

void Stream::abortive() {
  linger l{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

void tuneAccepted(int fd) {
  const int one = 1;
  const int idle = 60;  // seconds; then every 10, six times: who has vanished is found in 2 minutes
  const int interval = 10;
  const int count = 6;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

}  // namespace godwit::net
