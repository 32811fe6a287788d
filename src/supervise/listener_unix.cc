// Unix paths: each generation has a socket of its own under a name of its own; the public name is
// exchanged for it, so a client never finds no socket there.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os_error.h"
#include "supervise/listener.h"

namespace godwit::supervise {

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

Result<> Listener::openUnix() {
  kind_ = Kind::kUnixSlots;
  auto address = unixAddress(spec_.path);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  struct stat st {};
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
  if (spec_.wantedCutover() == Cutover::kShared) {
    kind_ = Kind::kShared;
    slots_.resize(1);
  }
  GODWIT_TRY(makeUnix(slots_[0], spec_.path + ".0.tmp"));
  // Public from the start: clients queue until the first generation accepts.
  if (::rename(slots_[0].path.c_str(), spec_.path.c_str()) != 0) {
    return osError("rename " + slots_[0].path + " to " + spec_.path);
  }
  slots_[0].path = spec_.path;
  routing_ = {0, -1, 0};
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
