// Unix paths: each generation has a socket of its own under a name of its own; the public name is
// exchanged for it, so a client never finds no socket there.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "base/os_error.h"
#include "supervise/listener.h"
#include "supervise/socket_call.h"
#include "supervise/units.h"

namespace godwit::supervise {
namespace {

// Is this stored socket the one that the public name leads to? A client learns under which name it
// was bound, and who called listen().
bool leadsTo(int fd, int connected) {
  ucred theirs{};
  ucred ours{};
  socklen_t n = sizeof ours;
  Address a;
  Address b;
  b.length = a.length = sizeof a.storage;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ours, &n) == 0 &&
         ::getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &theirs, &n) == 0 &&
         ours.pid == theirs.pid &&
         ::getsockname(fd, reinterpret_cast<sockaddr*>(&a.storage), &a.length) == 0 &&
         ::getpeername(connected, reinterpret_cast<sockaddr*>(&b.storage), &b.length) == 0 &&
         a.length == b.length && std::memcmp(&a.storage, &b.storage, a.length) == 0;
}

// Names of generations' sockets that a killed supervisor has left.
void removeLeftNames(const std::string& path) {
  std::size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string start = path.substr(slash == std::string::npos ? 0 : slash + 1) + ".";
  constexpr std::string_view kEnd = ".tmp";
  DIR* dir = ::opendir(folder.c_str());
  if (!dir) return;
  while (dirent* e = ::readdir(dir)) {
    std::string_view name(e->d_name);
    if (name.size() <= start.size() + kEnd.size() || name.substr(0, start.size()) != start ||
        name.substr(name.size() - kEnd.size()) != kEnd) {
      continue;
    }
    std::string_view number = name.substr(start.size(), name.size() - start.size() - kEnd.size());
    struct stat st {};
    if (parseInt(number, 0, 1 << 30) &&
        ::fstatat(::dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode)) {
      ::unlinkat(::dirfd(dir), e->d_name, 0);
    }
  }
  ::closedir(dir);
}

}  // namespace

Result<> Listener::makeUnix(Slot& slot, const std::string& path) {
  auto address = unixAddress(path);
  if (!address.ok()) return std::move(address).error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return osError("create a socket for " + spec_.address());
  ::unlink(path.c_str());  // a temporary name of ours, from an instance that was killed
  if (::bind(fd.get(), address->get(), address->length) != 0) return osError("bind " + path);
  slot.path = path;
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return osError("look at " + path);
  slot.device = st.st_dev;
  slot.inode = st.st_ino;
  // The name is not public yet, so the order of the following does not matter.
  if (::chmod(path.c_str(), static_cast<mode_t>(spec_.mode)) != 0) return osError("chmod " + path);
  if (!spec_.user.empty() || !spec_.group.empty()) {
    auto uid = static_cast<uid_t>(-1);
    auto gid = static_cast<gid_t>(-1);
    if (!spec_.user.empty()) {
      auto u = findUser(spec_.user);
      if (!u.ok()) return std::move(u).error();
      uid = u->uid;
    }
    if (!spec_.group.empty()) {
      auto g = findGroup(spec_.group);
      if (!g.ok()) return std::move(g).error();
      gid = *g;
    }
    if (::lchown(path.c_str(), uid, gid) != 0) return osError("chown " + path);
  }
  GODWIT_TRY(listenOn(fd.get()));
  slot.fd = std::move(fd);
  return {};
}

// The socket an earlier supervisor left in the manager's store, if it still has the public name.
bool Listener::adoptStoredUnix(Slot& slot, InheritedFds& inherited, const std::string& service) {
  std::string prefix = storeName(service) + "u";
  std::map<std::int64_t, UniqueFd, std::greater<>> found;  // the newest first
  for (const auto& e : std::vector<InheritedFds::Entry>(inherited.entries)) {
    if (e.name.rfind(prefix, 0) != 0) continue;
    auto serial = parseInt(std::string_view(e.name).substr(prefix.size()), 0, 1 << 30);
    inherited.take(e.name);
    found[serial.value_or(0)].reset(e.fd);
  }
  UniqueFd c(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (found.empty() || !c) return false;
  // A full queue refuses with EAGAIN; then nobody but these can be behind the name.
  bool full = false;
  if (::connect(c.get(), address_.get(), address_.length) != 0) {
    if (errno != EAGAIN) return false;
    full = true;
  }
  struct stat st {};
  for (auto& [serial, fd] : found) {
    if (!full && !leadsTo(fd.get(), c.get())) continue;
    if (::lstat(spec_.path.c_str(), &st) != 0) return false;
    closeOnExec(fd.get());
    slot = Slot{};
    slot.fd = std::move(fd);
    slot.path = spec_.path;
    slot.device = st.st_dev;
    slot.inode = st.st_ino;
    slot.serial = serials_before_ = static_cast<int>(serial);
    return true;
  }
  return false;
}

Result<> Listener::openUnix(std::size_t first, InheritedFds& inherited,
                            const std::string& service) {
  kind_ = Kind::kUnixSlots;
  auto address = unixAddress(spec_.path);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  if (spec_.wantedCutover() == Cutover::kShared) {
    first = 0;
    becomeShared();
  }
  struct stat st {};
  if (kind_ == Kind::kUnixSlots && adoptStoredUnix(slots_[first], inherited, service)) {
    removeLeftNames(spec_.path);
    return listenOn(slots_[first].fd.get());
  }
  if (::lstat(spec_.path.c_str(), &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) {
      return Error(ErrorCode::kOs,
                   "cannot bind " + spec_.address() + ": a file that is no socket is there");
    }
    UniqueFd c(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (c && (::connect(c.get(), address->get(), address->length) == 0 || errno == EAGAIN)) {
      return Error(ErrorCode::kConflict,
                   "cannot bind " + spec_.address() + ": another server is there");
    }
  }
  removeLeftNames(spec_.path);
  Slot& slot = slots_[first];
  GODWIT_TRY(makeUnix(slot, spec_.path + ".0.tmp"));
  // Public from the start: clients queue until the first generation accepts.
  if (::rename(slot.path.c_str(), spec_.path.c_str()) != 0) {
    return osError("rename " + slot.path + " to " + spec_.path);
  }
  slot.path = spec_.path;
  return {};
}

Result<> Listener::exposeUnix(std::size_t slot) {
  Slot& next = slots_[slot];
  if (!next.fd || next.path == spec_.path) return {};
  const char* from = next.path.c_str();
  const char* to = spec_.path.c_str();
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
    // The former holder keeps a name, so that a rollback can exchange them again.
    for (Slot& s : slots_) {
      if (s.path == spec_.path) s.path = next.path;
    }
  } else {
    // Nothing there any more, or a file system that cannot exchange.
    if (::rename(from, to) != 0) return osError("rename " + next.path + " to " + spec_.path);
    for (Slot& s : slots_) {
      if (s.path == spec_.path) s.path.clear();
    }
  }
  next.path = spec_.path;
  return {};
}

void Listener::removePath(const Slot& slot) const {
  if (address_.family() != AF_UNIX || slot.path.empty()) return;
  struct stat st {};
  if (::lstat(slot.path.c_str(), &st) != 0) return;
  // Only what is ours: somebody may have put another socket there.
  if (st.st_dev == slot.device && st.st_ino == slot.inode) ::unlink(slot.path.c_str());
}

}  // namespace godwit::supervise
