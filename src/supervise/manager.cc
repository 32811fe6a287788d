#include "supervise/manager.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"
#include "supervise/file_text.h"
#include "supervise/socket_call.h"

namespace godwit::supervise {
namespace {
constexpr std::string_view kNoteName = "gw.state";

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

void Manager::send(std::string text, int fd) {
  if (address_.empty()) return;
  flush();
  if (unsent_.empty() && trySend(text, fd)) return;
  if (unsent_.size() >= kMaxUnsent) return;
  unsent_.push_back({std::move(text), UniqueFd(fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 3))});
}

void Manager::flush() {
  while (!unsent_.empty() && trySend(unsent_.front().text, unsent_.front().fd.get())) {
    unsent_.pop_front();
  }
}

// False when it should be tried again.
bool Manager::trySend(std::string_view text, int fd) const {
  auto a = address_.front() == '@' ? abstractAddress(std::string_view(address_).substr(1))
                                   : unixAddress(address_);
  if (!a.ok()) return true;
  UniqueFd s(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!s) return false;
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
  return ::sendmsg(s.get(), &m, MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
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

void Manager::store(const std::vector<Listener::Stored>& sockets,
                    const std::map<std::string, int>& active) {
  if (!store_ || sockets.empty()) return;
  std::string text;
  for (const auto& [service, slot] : active) text += service + " " + std::to_string(slot) + "\n";
  if (!note_) {
    note_.reset(::memfd_create("godwit-run", MFD_CLOEXEC));
    if (note_) send("FDSTORE=1\nFDNAME=" + std::string(kNoteName), note_.get());
  }
  if (note_ && text != noted_ &&
      ::pwrite(note_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      ::ftruncate(note_.get(), static_cast<off_t>(text.size())) == 0) {
    noted_ = text;
  }
  std::set<std::string> wanted;
  for (const auto& s : sockets) {
    wanted.insert(s.name);
    if (stored_.insert(s.name).second) send("FDSTORE=1\nFDNAME=" + s.name, s.fd);
  }
  std::erase_if(stored_, [&](const std::string& name) {
    if (wanted.count(name)) return false;
    send("FDSTOREREMOVE=1\nFDNAME=" + name);
    return true;
  });
}

void Manager::adoptNote(int fd) {
  closeOnExec(fd);
  note_.reset(fd);
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
  if (auto note = out.take(kNoteName)) {
    out.note = *note;
    char buffer[4096];
    ssize_t n = ::pread(*note, buffer, sizeof buffer, 0);
    eachLine({buffer, static_cast<std::size_t>(n < 0 ? 0 : n)}, [&](std::string_view line) {
      std::size_t blank = line.find(' ');
      auto slot = blank == std::string_view::npos ? std::nullopt
                                                  : parseInt(line.substr(blank + 1), 0, 1000);
      if (slot) out.active[std::string(line.substr(0, blank))] = static_cast<int>(*slot);
      return false;
    });
  }
  return out;
}

}  // namespace godwit::supervise
