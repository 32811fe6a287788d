// TCP in slots: K sockets on one address, and a program that says which of them a connection goes
// to.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "base/os_error.h"
#include "supervise/listener.h"
#include "supervise/socket_call.h"

namespace godwit::supervise {

Result<UniqueFd> Listener::bindTcp(bool reuse_port) const {
  UniqueFd fd(::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return osError("create a socket for " + spec_.address());
  GODWIT_TRY(prepareSocket(fd.get(), spec_, address_.family()));
  if (reuse_port && !setInt(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
    return osError("set SO_REUSEPORT on " + spec_.address());
  }
  if (::bind(fd.get(), address_.get(), address_.length) != 0) {
    return osError("bind " + spec_.address());
  }
  return fd;
}

Result<> Listener::openTcp(InheritedFds& inherited, const std::string& service) {
  auto address = inetAddress(spec_.host, spec_.port);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  if (adoptStored(inherited, service)) {
    reserveProbeSources();
    for (Slot& s : slots_) GODWIT_TRY(listenOn(s.fd.get()));
    return attach(routing_);
  }
  // Without SO_REUSEPORT the kernel says whether anybody listens there already.
  {
    auto sole = bindTcp(false);
    if (!sole.ok()) return std::move(sole).error();
  }
  std::string why;
  if (spec_.wantedCutover() == Cutover::kSlots) {
    auto first = bindTcp(true);
    if (!first.ok()) return std::move(first).error();
    slots_[0].fd = std::move(first).value();
    // The index of a member is the order of its listen().
    GODWIT_TRY(listenOn(slots_[0].fd.get()));
    auto more = addSlots();
    if (!more.ok()) return std::move(more).error();
    why = std::move(more).value();
    if (why.empty()) return {};
  }
  fallback_ = std::move(why);
  becomeShared();
  auto fd = bindTcp(false);
  if (!fd.ok()) return std::move(fd).error();
  slots_[0].fd = std::move(fd).value();
  return listenOn(slots_[0].fd.get());
}

// A socket of the outer manager. Others can be put beside it when it has SO_REUSEPORT and its owner
// is our user.
Result<> Listener::openInherited(InheritedFds& inherited, const std::string& service) {
  auto fd = inherited.take(spec_.path);
  if (!fd) return Error(ErrorCode::kOs, "cannot use " + spec_.address() + ": not inherited");
  UniqueFd own(*fd);
  closeOnExec(own.get());
  auto address = localAddressOf(own.get());
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  bool tcp = (address_.family() == AF_INET || address_.family() == AF_INET6) &&
             getInt(own.get(), SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
  std::string why;
  if (tcp && spec_.wantedCutover() == Cutover::kSlots) {
    if (adoptStored(inherited, service)) {
      reserveProbeSources();
      return attach(routing_);
    }
    spec_.v6only = getInt(own.get(), IPPROTO_IPV6, IPV6_V6ONLY).value_or(0) != 0;
    if (getInt(own.get(), SOL_SOCKET, SO_REUSEPORT) == 1) {
      slots_[0].fd = UniqueFd(::fcntl(own.get(), F_DUPFD_CLOEXEC, 3));
      auto more = addSlots();
      why = more.ok() ? std::move(more).value() : more.error().message;
      if (why.empty()) return {};
      int none = 0;
      ::setsockopt(own.get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none);
    } else {
      why = "the inherited socket has no SO_REUSEPORT (hint: ReusePort=yes in a systemd unit)";
    }
  }
  fallback_ = std::move(why);
  becomeShared();
  slots_[0].fd = std::move(own);
  return {};
}

// Sockets that outlived an earlier supervisor in the manager's store, as many as it had: their
// order in the kernel is the order of their names.
bool Listener::adoptStored(InheritedFds& inherited, const std::string& service) {
  std::vector<UniqueFd> found;
  while (auto fd = inherited.take(storeName(service) + std::to_string(found.size()))) {
    closeOnExec(*fd);
    found.emplace_back(*fd);
  }
  if (found.size() < 2) return false;
  kind_ = Kind::kTcpSlots;
  slots_.clear();
  for (UniqueFd& fd : found) slots_.emplace_back().fd = std::move(fd);
  // Clients have been queueing where the program sends them since.
  routing_ = {inherited.activeSlot(service, slotCount()), -1, 0};
  return true;
}

// Slots beside the first one, which listens. "" or why it cannot be; an error when a socket cannot
// be had at all.
Result<std::string> Listener::addSlots() {
  // Before there is a second member, so that no connection goes elsewhere.
  routing_ = {0, -1, 0};
  if (auto r = attach(routing_); !r.ok()) {
    return "the kernel refuses to steer connections (" + r.error().message + ")";
  }
  for (std::size_t k = 1; k < slots_.size(); ++k) {
    auto fd = bindTcp(true);
    if (!fd.ok()) return std::move(fd).error();
    slots_[k].fd = std::move(fd).value();
    GODWIT_TRY(listenOn(slots_[k].fd.get()));
  }
  kind_ = Kind::kTcpSlots;
  if (reserveProbeSources() && !orderIsRight()) {
    return std::string("the kernel orders the sockets in another way");
  }
  return std::string();
}

// The source address and ports that the supervisor's own connections have, and nobody else's.
bool Listener::reserveProbeSources() {
  Address to = address_.dialable();
  auto reserve = [&](UniqueFd& fd, Address& source) {
    fd.reset(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return false;
    setInt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    Address any = to;
    any.setPort(0);
    if (::bind(fd.get(), any.get(), any.length) != 0) return false;
    auto bound = localAddressOf(fd.get());
    if (bound.ok()) source = *bound;
    return bound.ok();
  };
  bool good = reserve(probe_port_, probe_source_) && reserve(live_port_, live_source_);
  if (!good) probe_port_.reset();
  return good;
}

// Steers a connection of ours to each slot in turn and looks where it arrives. The public is
// pinned to slot 0 meanwhile, so what the others hold is ours. That the kernel's answer is not
// what we expect has not been seen; if it ever is, serving the wrong generation is the worst end.
bool Listener::orderIsRight() {
  Address to = address_.dialable();
  for (std::size_t k = 1; k < slots_.size(); ++k) {
    if (!attach({0, static_cast<int>(k), 0}).ok()) return false;
    UniqueFd c(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    setInt(c.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (!c || ::bind(c.get(), probe_source_.get(), probe_source_.length) != 0) break;
    // No route to ourselves (loopback is down, a foreign address): there is nothing to learn.
    if (::connect(c.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) break;
    pollfd connected{c.get(), POLLOUT, 0};
    if (::poll(&connected, 1, 200) != 1 || (connected.revents & (POLLERR | POLLHUP))) {
      resetConnection(c.release());
      break;
    }
    // TCP_DEFER_ACCEPT holds a connection back until it has sent something.
    if (spec_.defer_s > 0 && ::send(c.get(), "\n", 1, MSG_NOSIGNAL) < 0) break;
    pollfd arrived{slots_[k].fd.get(), POLLIN, 0};
    bool here = ::poll(&arrived, 1, 500) == 1;
    resetConnection(c.release());
    if (here) {
      resetQueue(slots_[k].fd.get());
      continue;
    }
    // Beside a socket of somebody else there may be more, which we cannot look into.
    bool elsewhere = spec_.kind == ListenKind::kInherited;
    for (std::size_t o = 1; o < slots_.size(); ++o) {
      elsewhere = elsewhere || resetQueue(slots_[o].fd.get()) > 0;
    }
    return attach(routing_).ok() && !elsewhere;
  }
  return attach(routing_).ok();
}

Result<> Listener::attach(const SlotRouting& r) {
  auto steer = [&](const Address& source, int slot) {
    Steer s;
    s.v6 = source.family() == AF_INET6;
    s.port = source.port();
    s.slot = static_cast<std::uint32_t>(slot);
    if (s.v6) {
      const auto* a = reinterpret_cast<const sockaddr_in6*>(source.get());
      std::memcpy(s.address.data(), &a->sin6_addr, 16);
    } else {
      const auto* a = reinterpret_cast<const sockaddr_in*>(source.get());
      std::memcpy(s.address.data(), &a->sin_addr, 4);
    }
    return s;
  };
  Plan plan;
  plan.active = static_cast<std::uint32_t>(r.active < 0 ? 0 : r.active);
  if (probe_port_ && r.candidate >= 0) plan.steers.push_back(steer(probe_source_, r.candidate));
  if (probe_port_) plan.steers.push_back(steer(live_source_, static_cast<int>(plan.active)));
  if (r.candidate >= 0 && r.canary_percent > 0) {
    plan.canary = static_cast<std::uint32_t>(r.candidate);
    plan.canary_percent = static_cast<std::uint32_t>(r.canary_percent);
  }
  std::vector<sock_filter> code = buildProgram(plan);
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(slots_[0].fd.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                   sizeof program) != 0) {
    return osError("steer connections of " + spec_.address());
  }
  return {};
}

}  // namespace godwit::supervise
