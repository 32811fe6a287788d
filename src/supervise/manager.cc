#include "supervise/manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"

namespace godwit::supervise {
namespace {
std::string_view variable(const char* name) {
  const char* v = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return v ? v : "";
}
}  // namespace

Manager::Manager(int notify_fd, bool fdstore) : notify_fd_(notify_fd) {
  address_ = variable("NOTIFY_SOCKET");
  if (!address_.empty() && address_.front() != '/' && address_.front() != '@') address_.clear();
  auto usec = parseInt(variable("WATCHDOG_USEC"), 1, std::int64_t{1} << 40);
  auto pid = parseInt(variable("WATCHDOG_PID"), 1, 1 << 30);
  if (usec && (!pid || *pid == ::getpid())) watchdog_ = *usec * 1000;
  // $FDSTORE is set since systemd 254; before, storing what nobody keeps does no harm.
  store_ = fdstore && !address_.empty();
}

void Manager::send(std::string_view text, int fd) const {
  if (address_.empty()) return;
  auto a = address_.front() == '@' ? abstractAddress(std::string_view(address_).substr(1))
                                   : unixAddress(address_);
  if (!a.ok()) return;
  UniqueFd s(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!s) return;
  iovec io{const_cast<char*>(text.data()), text.size()};
  msghdr m{};
  m.msg_name = &a->storage;
  m.msg_namelen = a->length;
  m.msg_iov = &io;
  m.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  if (fd >= 0) {
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  ::sendmsg(s.get(), &m, MSG_NOSIGNAL);
}

void Manager::ready() {
  if (ready_) return;
  ready_ = true;
  send("READY=1");
  if (notify_fd_ >= 0) {
    [[maybe_unused]] ssize_t n = ::write(notify_fd_, "\n", 1);
    ::close(notify_fd_);
    notify_fd_ = -1;
  }
}

void Manager::reloading() {
  if (!ready_ || reloading_) return;
  reloading_ = true;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonicNow() / 1000));
}

void Manager::reloaded() {
  if (!reloading_) return;
  reloading_ = false;
  send("READY=1");
}

void Manager::stopping() { send("STOPPING=1"); }

void Manager::status(const std::string& text) {
  if (text == last_status_) return;
  last_status_ = text;
  std::string line = "STATUS=" + text;
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  send(line);
}

void Manager::extend(TimeNs span) { send("EXTEND_TIMEOUT_USEC=" + std::to_string(span / 1000)); }

void Manager::alive() { send("WATCHDOG=1"); }

void Manager::store(const std::vector<Listener::Stored>& sockets) {
  if (!store_) return;
  for (const auto& s : sockets) send("FDSTORE=1\nFDNAME=" + s.name, s.fd);
}

InheritedFds inheritedFds() {
  InheritedFds out;
  auto count = parseInt(variable("LISTEN_FDS"), 1, 1024);
  auto pid = parseInt(variable("LISTEN_PID"), 1, 1 << 30);
  // Without LISTEN_PID the sender could not know it; with another one they are not for us.
  if (!count || (pid && *pid != ::getpid())) return out;
  std::string_view names = variable("LISTEN_FDNAMES");
  for (int i = 0; i < *count; ++i) {
    std::size_t colon = names.find(':');
    int fd = 3 + i;
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
    out.entries.push_back({fd, std::string(names.substr(0, colon))});
    names = colon == std::string_view::npos ? "" : names.substr(colon + 1);
  }
  return out;
}

}  // namespace godwit::supervise
