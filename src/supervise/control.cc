#include "supervise/control.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/os_error.h"
#include "supervise/address.h"

namespace godwit::supervise {

Control::Control(EventLoop& loop, Handler handler, Gone gone)
    : loop_(loop), handler_(std::move(handler)), gone_(std::move(gone)) {}

Control::~Control() { close(); }

Result<> Control::open(const std::string& path) {
  auto address = unixAddress(path);
  if (!address.ok()) return std::move(address).error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return osError("create the control socket");
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0 && !S_ISSOCK(st.st_mode)) {
    return Error(ErrorCode::kOs, "cannot bind " + path + ": a file that is no socket is there");
  }
  ::unlink(path.c_str());
  mode_t before = ::umask(0077);
  int bound = ::bind(fd.get(), address->get(), address->length);
  int error = errno;
  ::umask(before);
  if (bound != 0) return osError("bind " + path, error);
  if (::listen(fd.get(), 64) != 0) return osError("listen on " + path);
  return adopt(std::move(fd), path);
}

Result<> Control::adopt(UniqueFd fd, const std::string& path) {
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  fd_ = std::move(fd);
  path_ = path;
  return loop_.add(fd_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

void Control::close() {
  for (auto& [id, c] : clients_) loop_.remove(c.fd.get());
  clients_.clear();
  if (!fd_) return;
  loop_.remove(fd_.get());
  fd_.reset();
  ::unlink(path_.c_str());
}

void Control::accept() {
  UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return;
  ucred peer{};
  socklen_t n = sizeof peer;
  bool known = ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0;
  bool allowed = known && (peer.uid == 0 || peer.uid == ::geteuid());
  if (!allowed || clients_.size() >= kMaxClients) {
    std::string_view text = allowed ? "{\"ok\":false,\"code\":5,\"error\":\"too many clients\"}\n"
                                    : "{\"ok\":false,\"code\":4,\"error\":\"not your instance\"}\n";
    ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  ClientId id = ++next_;
  int raw = fd.get();
  clients_[id].fd = std::move(fd);
  if (!loop_.add(raw, EPOLLIN, [this, id](std::uint32_t e) { onClient(id, e); }).ok()) {
    clients_.erase(id);
  }
}

void Control::onClient(ClientId id, std::uint32_t events) {
  if ((events & EPOLLOUT) && !flush(id)) return;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readFrom(id);
}

void Control::readFrom(ClientId id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  char buffer[4096];
  ssize_t n = ::recv(it->second.fd.get(), buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return drop(id);
  it->second.in.append(buffer, static_cast<std::size_t>(n));
  for (;;) {
    it = clients_.find(id);
    if (it == clients_.end()) return;
    std::string& in = it->second.in;
    std::size_t eol = in.find('\n');
    if (eol == std::string::npos ? in.size() > kMaxRequest : eol > kMaxRequest) {
      reply(id, "{\"ok\":false,\"code\":5,\"error\":\"request too long\"}");
      return drop(id);
    }
    if (eol == std::string::npos) return;
    std::string line = in.substr(0, eol);
    in.erase(0, eol + 1);
    auto request = parseJson(line);
    if (!request.ok() || request->kind() != JsonValue::Kind::kObject) {
      reply(id, "{\"ok\":false,\"code\":5,\"error\":\"expected one JSON object per line\"}");
      continue;
    }
    handler_(id, *request);
  }
}

bool Control::reply(ClientId id, std::string_view line) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return false;
  Client& c = it->second;
  c.out += line;
  c.out += '\n';
  if (c.out.size() > kMaxUnsent) {
    drop(id);
    return false;
  }
  return flush(id);
}

void Control::finish(ClientId id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  it->second.closing = true;
  flush(id);
}

bool Control::flush(ClientId id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return false;
  Client& c = it->second;
  while (!c.out.empty()) {
    ssize_t n = ::send(c.fd.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.modify(c.fd.get(), EPOLLIN | EPOLLOUT);
      return true;
    }
    if (n < 0) {
      drop(id);
      return false;
    }
    c.out.erase(0, static_cast<std::size_t>(n));
  }
  if (c.closing) {
    drop(id);
    return false;
  }
  loop_.modify(c.fd.get(), EPOLLIN);
  return true;
}

void Control::drop(ClientId id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  loop_.remove(it->second.fd.get());
  clients_.erase(it);
  gone_(id);
}

}  // namespace godwit::supervise
