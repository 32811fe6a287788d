#include "supervise/probe.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/os_error.h"
#include "base/random.h"

namespace godwit::supervise {

Probe::Probe(EventLoop& loop, const ProbeTarget& target, Kind kind, std::string path,
             TimeNs deadline, Done done)
    : loop_(loop),
      target_(target),
      kind_(kind),
      path_(std::move(path)),
      deadline_(deadline),
      done_(std::move(done)) {}

Probe::~Probe() { closeSocket(); }

void Probe::start() {
  fd_.reset(::socket(target_.address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) return finish(false, "cannot create a socket: " + errnoText(errno));
  if (target_.bind_source) {
    int one = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (::bind(fd_.get(), target_.source.get(), target_.source.length) != 0) {
      return finish(false, "cannot bind the probe source: " + errnoText(errno));
    }
  }
  if (kind_ == Kind::kHttp) unsent_ = probeRequest(path_, "localhost");
  if (kind_ == Kind::kTls) {
    std::string random(32, '\0');
    randomBytes({reinterpret_cast<unsigned char*>(random.data()), random.size()});
    unsent_ = tlsClientHello(random);
  }
  if (::connect(fd_.get(), target_.address.get(), target_.address.length) != 0 &&
      errno != EINPROGRESS) {
    return finish(false, "cannot connect: " + errnoText(errno));
  }
  if (!loop_.add(fd_.get(), EPOLLIN | EPOLLOUT, [this](std::uint32_t e) { onEvent(e); }).ok()) {
    return finish(false, "cannot watch the probe");
  }
  if (deadline_ != kNever) {
    timer_ = std::make_unique<Timer>(loop_, [this] {
      finish(false, connected_ ? "no answer in time" : "no connection in time");
    });
    timer_->armAt(deadline_);
  }
}

void Probe::onEvent(std::uint32_t events) {
  if (!connected_) {
    int error = 0;
    socklen_t n = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0) return finish(false, "cannot connect: " + errnoText(error));
    connected_ = true;
    if (kind_ == Kind::kConnect) return finish(true, "");
  }
  if (!unsent_.empty()) send();
  if (fd_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) receive();
}

void Probe::send() {
  ssize_t n = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return finish(false, "cannot send: " + errnoText(errno));
  unsent_.erase(0, static_cast<std::size_t>(n));
  if (unsent_.empty()) loop_.modify(fd_.get(), EPOLLIN);
}

void Probe::receive() {
  using V = ProbeResponse::Verdict;
  char buffer[2048];
  ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return finish(false, "connection lost: " + errnoText(errno));
  std::string_view bytes(buffer, static_cast<std::size_t>(n));
  if (kind_ == Kind::kTls) {
    received_ += bytes.substr(0, 64);
    V v = judgeTlsAnswer(received_);
    if (v == V::kMore && n > 0) return;
    return finish(v == V::kGood, "not a TLS answer");
  }
  V v = n == 0 ? response_.end() : response_.feed(bytes);
  if (v == V::kMore) return;
  finish(v == V::kGood, response_.describe());
}

void Probe::closeSocket() {
  timer_.reset();
  if (!fd_) return;
  loop_.remove(fd_.get());
  // Not FIN: the source port must be free for the next probe, without a TIME_WAIT.
  linger l{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &l, sizeof l);
  fd_.reset();
}

void Probe::finish(bool good, std::string why) {
  if (good && kind_ == Kind::kConnect) {
    // Stays open until this is destroyed, for the server to accept.
    loop_.remove(fd_.get());
    timer_.reset();
  } else {
    closeSocket();
  }
  Done done = std::exchange(done_, nullptr);
  if (done) done(good, why);  // may destroy this
}

}  // namespace godwit::supervise
