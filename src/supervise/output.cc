#include "supervise/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"

namespace godwit::supervise {

Sink::Sink(EventLoop& loop, int fd) : loop_(loop) { adopt(fd); }
Sink::Sink(EventLoop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
Sink::~Sink() {
  if (watching_) loop_.remove(fd_.get());
}

void Sink::adopt(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return;
  socket_ = S_ISSOCK(st.st_mode);
  if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
    // A description of our own, so that O_NONBLOCK is ours alone.
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    fd_.reset(::open(self.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (fd_) return;
    careful_ = true;
  }
  fd_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

Result<> Sink::reopen() {
  if (path_.empty()) return {};
  UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640));
  if (!fd) return osError("open log " + path_);
  if (watching_) loop_.remove(fd_.get());
  watching_ = false;
  fd_ = std::move(fd);
  wake();
  return {};
}

std::size_t Sink::write(std::string_view bytes) {
  if (!fd_) {
    lost_ += bytes.size();
    return bytes.size();
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    std::string_view rest = bytes.substr(done);
    if (careful_) {
      // POLLOUT of a pipe promises PIPE_BUF bytes.
      pollfd p{fd_.get(), POLLOUT, 0};
      if (::poll(&p, 1, 0) != 1) return done;
      rest = rest.substr(0, 4096);
    }
    ssize_t n = socket_ ? ::send(fd_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                        : ::write(fd_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return done;
    if (n < 0) {
      lost_ += bytes.size() - done;
      return bytes.size();
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void Sink::onWritable(std::function<void()> f) {
  waiting_.push_back(std::move(f));
  if (watching_) return;
  watching_ = loop_.add(fd_.get(), EPOLLOUT, [this](std::uint32_t) { wake(); }).ok();
}

void Sink::wake() {
  if (watching_) loop_.remove(fd_.get());
  watching_ = false;
  std::vector<std::function<void()>> waiting = std::exchange(waiting_, {});
  for (auto& f : waiting) f();
}

OutputPipe::~OutputPipe() {
  *alive_ = false;
  if (fd_) loop_.remove(fd_.get());
}

Result<UniqueFd> OutputPipe::open() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return osError("create a pipe");
  UniqueFd write_end(fds[1]);
  GODWIT_TRY(adopt(UniqueFd(fds[0])));
  return write_end;
}

Result<> OutputPipe::adopt(UniqueFd read_end) {
  ::fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(read_end.get(), F_SETFD, FD_CLOEXEC);
  fd_ = std::move(read_end);
  return loop_.add(fd_.get(), EPOLLIN, [this](std::uint32_t) { readSome(); });
}

void OutputPipe::readSome() {
  char buffer[16384];
  ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    loop_.remove(fd_.get());
    fd_.reset();
    return;
  }
  std::string_view bytes(buffer, static_cast<std::size_t>(n));
  keep(bytes);
  pass(bytes);
  flush();
}

void OutputPipe::keep(std::string_view bytes) {
  tail_ += bytes;
  // Cut in steps, so that a chatty child does not make every read move the whole tail.
  if (tail_.size() > kKept + kKept / 2) tail_.erase(0, tail_.size() - kKept);
}

void OutputPipe::pass(std::string_view bytes) {
  if (prefix_.empty()) {
    unsent_ += bytes;
    return;
  }
  while (!bytes.empty()) {
    if (line_start_) unsent_ += prefix_;
    std::size_t eol = bytes.find('\n');
    line_start_ = eol != std::string_view::npos;
    std::size_t n = line_start_ ? eol + 1 : bytes.size();
    unsent_ += bytes.substr(0, n);
    bytes.remove_prefix(n);
  }
}

// The child feels a slow sink as it would feel it directly: its pipe fills.
void OutputPipe::flush() {
  unsent_.erase(0, sink_.write(unsent_));
  bool full = !unsent_.empty();
  if (full) {
    sink_.onWritable([this, alive = alive_] {
      if (*alive) flush();
    });
  }
  if (full != paused_ && fd_) loop_.modify(fd_.get(), full ? 0U : static_cast<unsigned>(EPOLLIN));
  paused_ = full;
}

void OutputPipe::drain() {
  // A pipe holds 64 KiB unless it was enlarged; more than 1 MiB is a child that goes on writing.
  for (int i = 0; i < 64 && fd_ && unsent_.empty(); ++i) {
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, 0) != 1) return;
    readSome();
  }
}

void OutputPipe::finish() {
  drain();
  if (fd_) loop_.remove(fd_.get());
  fd_.reset();
}

std::string OutputPipe::lastLines(std::size_t lines) const {
  std::string_view t = tail_;
  if (t.size() > kKept) t.remove_prefix(t.size() - kKept);
  std::size_t end = t.size();
  while (end > 0 && t[end - 1] == '\n') --end;
  std::size_t begin = end;
  for (std::size_t n = 0; begin > 0; --begin) {
    if (t[begin - 1] == '\n' && ++n == lines) break;
  }
  return std::string(t.substr(begin, end - begin));
}

}  // namespace godwit::supervise
