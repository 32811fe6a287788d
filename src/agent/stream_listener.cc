#include "agent/stream_listener.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"

namespace godwit::agent {
namespace {

constexpr int kAccepts = 64;                // in one turn of the loop
constexpr int kReads = 16;                  // of one connection in one turn
constexpr std::size_t kPause = 256u << 10;  // unsent bytes above which it is not read on
constexpr auto kSweepEvery = std::chrono::seconds(5);

}  // namespace

StreamListener::~StreamListener() { close(); }

void StreamListener::configure(StreamOptions options) {
  options_ = std::move(options);
  if (options_.idle.count() > 0) sweeper_ = loop_.every(kSweepEvery, [this] { sweep(); });
}

Result<> StreamListener::listen(const std::string& address, InheritedSockets& inherited,
                                Make make) {
  auto socket = openSocket(address, SOCK_STREAM, inherited);
  if (!socket) return std::move(socket).error();
  int fd = socket->fd.get();
  GODWIT_TRY(loop_.add(fd, EPOLLIN,
                       [this, fd, make = std::move(make)](std::uint32_t) { accept(fd, make); }));
  bool path = address.find('/') != std::string::npos;
  listening_.push_back({std::move(socket->fd), socket->inherited, path ? address : std::string()});
  log::info(options_.name + ".listening", {{"address", address}});
  return {};
}

void StreamListener::accept(int listening, const Make& make) {
  for (int i = 0; i < kAccepts; ++i) {
    UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (connections_.size() >= options_.max_connections) {
      ++refused_;
      const std::string& answer = options_.full_answer;
      if (!answer.empty()) {
        ::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
      continue;
    }
    int raw = fd.get();
    auto c = make(raw);
    c->fd_ = std::move(fd);
    c->last_ = Loop::Clock::now();
    if (!loop_.add(raw, EPOLLIN, [this, raw](std::uint32_t e) { onEvent(raw, e); })) continue;
    connections_[raw] = std::move(c);
    ++accepted_;
  }
}

void StreamListener::onEvent(int fd, std::uint32_t events) {
  auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  StreamConnection& c = *it->second;
  c.last_ = Loop::Clock::now();
  if ((events & EPOLLOUT) && !flush(c)) return drop(fd);
  if (!c.out.empty()) return;  // the peer reads slower than it asks: no more until it has read
  if (c.closing) return drop(fd);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    if (!read(c)) return drop(fd);
  } else {
    c.serve();  // what was read before the answer blocked
  }
  if (!flush(c)) return drop(fd);
  if (c.out.empty() && c.closing) drop(fd);
}

// False: the peer is gone.
bool StreamListener::read(StreamConnection& c) {
  std::array<char, 65536> buf;
  for (int i = 0; i < kReads; ++i) {
    ssize_t n = ::read(c.fd_.get(), buf.data(), buf.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) {
      c.ended();
      return false;
    }
    c.in.append(buf.data(), static_cast<std::size_t>(n));
    c.serve();
    if (c.closing || c.out.size() > kPause) return true;
  }
  return true;
}

// False: the connection is broken.
bool StreamListener::flush(StreamConnection& c) {
  bool blocked = false;
  std::size_t sent = 0;
  while (sent < c.out.size()) {
    ssize_t n = ::send(c.fd_.get(), c.out.data() + sent, c.out.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    blocked = n < 0 && errno == EAGAIN;
    if (blocked) break;
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  c.out.erase(0, sent);
  loop_.modify(c.fd_.get(), blocked ? EPOLLOUT : EPOLLIN);
  return true;
}

void StreamListener::drop(int fd) {
  loop_.remove(fd);
  connections_.erase(fd);
}

void StreamListener::sweep() {
  auto now = Loop::Clock::now();
  std::vector<int> old;
  for (const auto& [fd, c] : connections_) {
    if (now - c->last_ > options_.idle) old.push_back(fd);
  }
  for (int fd : old) drop(fd);
}

void StreamListener::stopAccepting() {
  for (auto& l : listening_) {
    loop_.remove(l.fd.get());
    if (!l.inherited && !l.path.empty()) ::unlink(l.path.c_str());
  }
  listening_.clear();
}

void StreamListener::readRest() {
  while (!connections_.empty()) {
    auto it = connections_.begin();
    read(*it->second);
    drop(it->first);
  }
}

void StreamListener::close() {
  stopAccepting();
  if (sweeper_) loop_.cancel(sweeper_);
  sweeper_ = 0;
  while (!connections_.empty()) drop(connections_.begin()->first);
}

}  // namespace godwit::agent
