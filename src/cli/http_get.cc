#include "cli/http_get.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace godwit::cli {
namespace {

constexpr std::size_t kMaxAnswer = 1024 * 1024;

Error tooLate() { return Error(ErrorCode::kTimeout, "no answer in time"); }

Result<void> await(int fd, short events, Deadline deadline) {
  pollfd p{fd, events, 0};
  for (;;) {
    if (deadline.expired()) return tooLate();
    int n = ::poll(&p, 1, deadline.pollTimeoutMs());
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return osError("wait for the server");
  }
}

Result<UniqueFd> connectTo(const sockaddr* address, socklen_t length, Deadline deadline) {
  UniqueFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return osError("open a socket");
  if (::connect(fd.get(), address, length) != 0) {
    if (errno != EINPROGRESS) return osError("connect");
    if (auto r = await(fd.get(), POLLOUT, deadline); !r.ok()) return std::move(r).error();
    int err = 0;
    socklen_t size = sizeof err;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
    if (err != 0) return osError("connect", err);
  }
  return fd;
}

Result<UniqueFd> connectUnix(const std::string& path, Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error(ErrorCode::kInvalid, "socket path is too long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return connectTo(reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline);
}

Result<UniqueFd> connectTcp(const std::string& host, const std::string& port, Deadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (int r = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); r != 0) {
    return Error(ErrorCode::kNotFound, host + ": " + ::gai_strerror(r));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
  Result<UniqueFd> last = Error(ErrorCode::kNotFound, host + ": no address");
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    last = connectTo(a->ai_addr, a->ai_addrlen, deadline);
    if (last.ok()) return last;
  }
  return last;
}

Result<HttpAnswer> exchange(int fd, const std::string& host, const std::string& path,
                            Deadline deadline) {
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host +
                        "\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  for (std::size_t done = 0; done < request.size();) {
    ssize_t n = ::send(fd, request.data() + done, request.size() - done, MSG_NOSIGNAL);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EINTR) {
      if (auto r = await(fd, POLLOUT, deadline); !r.ok()) return std::move(r).error();
    } else {
      return osError("send");
    }
  }
  std::string text;
  for (;;) {
    char buf[8192];
    ssize_t n = ::recv(fd, buf, sizeof buf, 0);
    if (n == 0) break;
    if (n > 0) {
      text.append(buf, static_cast<std::size_t>(n));
      if (text.size() > kMaxAnswer) return Error(ErrorCode::kLimit, "the answer is too large");
    } else if (errno == EAGAIN || errno == EINTR) {
      if (auto r = await(fd, POLLIN, deadline); !r.ok()) return std::move(r).error();
    } else {
      return osError("receive");
    }
  }
  HttpAnswer answer;
  std::size_t end = text.find("\r\n\r\n");
  bool http = text.compare(0, 7, "HTTP/1.") == 0 && text.size() > 12 && end != std::string::npos;
  if (!http) return Error(ErrorCode::kInvalid, "the answer is not HTTP");
  std::from_chars(text.data() + 9, text.data() + 12, answer.status);
  answer.body = text.substr(end + 4);
  return answer;
}

}  // namespace

Result<HttpAnswer> httpGet(const std::string& url, const std::string& path, Deadline deadline) {
  constexpr std::string_view kHttp = "http://";
  if (url.compare(0, 5, "unix:") == 0) {
    auto fd = connectUnix(url.substr(5), deadline);
    if (!fd.ok()) return std::move(fd).error();
    return exchange(fd->get(), "localhost", path, deadline);
  }
  if (url.compare(0, kHttp.size(), kHttp) != 0) {
    return Error(ErrorCode::kInvalid, "'" + url + "' is neither http://... nor unix:...");
  }
  std::string rest = url.substr(kHttp.size());
  std::string authority = rest.substr(0, rest.find('/'));
  std::string host = authority;
  std::string port = "80";
  std::size_t colon = authority.rfind(':');
  if (colon != std::string::npos && authority.find(']', colon) == std::string::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  auto fd = connectTcp(host, port, deadline);
  if (!fd.ok()) return std::move(fd).error();
  return exchange(fd->get(), authority, path, deadline);
}

}  // namespace godwit::cli
