#include "supervise/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/os_error.h"
#include "supervise/units.h"

namespace godwit::supervise {
namespace {

bool setInt(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

void keepOverExec(int fd) {
  if (fd >= 0) ::fcntl(fd, F_SETFD, 0);
}
void closeOnExec(int fd) {
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

// Ends a connection so that the client sees a failure now, not a silence.
void resetConnection(int fd) {
  linger l{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  ::close(fd);
}

int resetQueue(int listen_fd) {
  int n = 0;
  while (n < 65536 && readable(listen_fd)) {
    int c = ::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (c < 0) break;
    resetConnection(c);
    ++n;
  }
  return n;
}

// What --listen asks of each socket before bind.
Result<> prepare(int fd, const ListenSpec& s, int family) {
  setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, s.v6only ? 1 : 0);
  if (s.freebind && !setInt(fd, IPPROTO_IP, IP_FREEBIND, 1)) return osError("set freebind");
  if (s.mark && !setInt(fd, SOL_SOCKET, SO_MARK, static_cast<int>(*s.mark))) {
    return osError("set mark on " + s.address());
  }
  if (!s.iface.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s.iface.c_str(),
                                       static_cast<socklen_t>(s.iface.size())) != 0) {
    return osError("bind " + s.address() + " to " + s.iface);
  }
  if (s.kind == ListenKind::kTcp) {
    if (s.nodelay) setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (s.defer_s > 0) setInt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, s.defer_s);
    if (s.fastopen > 0) setInt(fd, IPPROTO_TCP, TCP_FASTOPEN, s.fastopen);
  }
  return {};
}

}  // namespace

std::optional<int> InheritedFds::take(std::string_view key) {
  auto number = parseInt(key, 0, 1 << 20);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].name != key && entries[i].fd != number) continue;
    int fd = entries[i].fd;
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    return fd;
  }
  return std::nullopt;
}

bool Listener::stream() const {
  if (spec_.kind == ListenKind::kUdp) return false;
  if (spec_.kind != ListenKind::kInherited) return true;
  int type = 0;
  socklen_t n = sizeof type;
  return ::getsockopt(slots_[0].fd.get(), SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
         type == SOCK_STREAM;
}

Result<std::unique_ptr<Listener>> Listener::create(const ListenSpec& spec, int slots,
                                                   InheritedFds& inherited,
                                                   const std::string& service) {
  std::unique_ptr<Listener> out(new Listener(spec));
  Result<> r;
  if (spec.kind == ListenKind::kTcp) {
    r = out->openTcp(slots, inherited, service);
  } else if (spec.kind == ListenKind::kUnix) {
    out->slots_.resize(static_cast<std::size_t>(slots));
    r = out->openUnix();
  } else {
    r = out->openShared(inherited);
  }
  if (!r.ok()) return std::move(r).error();
  return out;
}

Listener::~Listener() = default;

Result<UniqueFd> Listener::bindTcp(bool reuse_port) const {
  UniqueFd fd(::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return osError("create a socket for " + spec_.address());
  GODWIT_TRY(prepare(fd.get(), spec_, address_.family()));
  if (reuse_port && !setInt(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
    return osError("set SO_REUSEPORT on " + spec_.address());
  }
  if (::bind(fd.get(), address_.get(), address_.length) != 0) {
    return osError("bind " + spec_.address());
  }
  return fd;
}

Result<> Listener::listenOn(int fd) const {
  if (::listen(fd, spec_.backlog) != 0) return osError("listen on " + spec_.address());
  // The description is shared with every child: its mode is set once, here.
  int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, spec_.nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
  return {};
}

Result<> Listener::openTcp(int slots, InheritedFds& inherited, const std::string& service) {
  auto address = inetAddress(spec_.host, spec_.port);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  auto n = static_cast<std::size_t>(slots);
  slots_.resize(n);
  // Sockets that outlived an earlier supervisor in the manager's store: all or none.
  std::size_t found = 0;
  for (std::size_t k = 0; k < n; ++k) {
    auto fd = inherited.take("gw." + service + "." + spec_.name + "." + std::to_string(k));
    if (!fd) break;
    closeOnExec(*fd);
    slots_[k].fd.reset(*fd);
    ++found;
  }
  if (found == n) {
    kind_ = Kind::kTcpSlots;
    reserveProbeSources();
    for (Slot& s : slots_) GODWIT_TRY(listenOn(s.fd.get()));
    routing_ = {0, -1, 0};
    return attach(routing_);
  }
  for (Slot& s : slots_) s.fd.reset();
  // Without SO_REUSEPORT the kernel says whether anybody listens there already.
  {
    auto sole = bindTcp(false);
    if (!sole.ok()) return std::move(sole).error();
  }
  if (spec_.wantedCutover() == Cutover::kShared) return fallBack("");
  for (std::size_t k = 0; k < n; ++k) {
    auto fd = bindTcp(true);
    if (!fd.ok()) return std::move(fd).error();
    slots_[k].fd = std::move(fd).value();
  }
  kind_ = Kind::kTcpSlots;
  for (std::size_t k = 0; k < n; ++k) {
    // The index of a member is the order of its listen().
    GODWIT_TRY(listenOn(slots_[k].fd.get()));
    if (k == 0) {
      routing_ = {0, -1, 0};
      if (auto r = attach(routing_); !r.ok()) {
        return fallBack("the kernel refuses to steer connections (" + r.error().message + ")");
      }
    }
  }
  if (!reserveProbeSources()) return {};
  if (!orderIsRight()) return fallBack("the kernel orders the sockets in another way");
  return {};
}

// One socket for all generations. Members of a slot group are closed first.
Result<> Listener::fallBack(std::string why) {
  fallback_ = std::move(why);
  kind_ = Kind::kShared;
  for (Slot& s : slots_) s.fd.reset();
  slots_.clear();
  slots_.resize(1);
  auto fd = bindTcp(false);
  if (!fd.ok()) return std::move(fd).error();
  slots_[0].fd = std::move(fd).value();
  return listenOn(slots_[0].fd.get());
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
    bool here = ::poll(&arrived, 1, 200) == 1;
    resetConnection(c.release());
    if (here) {
      resetQueue(slots_[k].fd.get());
      continue;
    }
    bool elsewhere = false;
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

Result<> Listener::openShared(InheritedFds& inherited) {
  slots_.resize(1);
  Slot& slot = slots_[0];
  if (spec_.kind == ListenKind::kInherited) {
    auto fd = inherited.take(spec_.path);
    if (!fd) return Error(ErrorCode::kOs, "cannot use " + spec_.address() + ": not inherited");
    closeOnExec(*fd);
    slot.fd.reset(*fd);
    auto address = localAddressOf(*fd);
    if (!address.ok()) return std::move(address).error();
    address_ = *address;
    return {};
  }
  bool udp = spec_.kind == ListenKind::kUdp;
  auto address = udp ? inetAddress(spec_.host, spec_.port) : abstractAddress(spec_.path);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  slot.fd.reset(::socket(address_.family(), (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  if (!slot.fd) return osError("create a socket for " + spec_.address());
  if (udp) {
    GODWIT_TRY(prepare(slot.fd.get(), spec_, address_.family()));
    // For datagrams SO_REUSEADDR would let a second server in.
    setInt(slot.fd.get(), SOL_SOCKET, SO_REUSEADDR, 0);
  }
  if (::bind(slot.fd.get(), address_.get(), address_.length) != 0) {
    return osError("bind " + spec_.address());
  }
  return udp ? Result<>() : listenOn(slot.fd.get());
}

Result<int> Listener::openSlot(int slot, int gen) {
  if (kind_ == Kind::kShared) return slots_[0].fd.get();
  Slot& s = slots_[static_cast<std::size_t>(slot)];
  if (kind_ == Kind::kUnixSlots && !s.fd) {
    GODWIT_TRY(makeUnix(s, spec_.path + "." + std::to_string(gen) + ".tmp"));
  }
  s.retired = false;
  return s.fd.get();
}

Result<> Listener::route(const SlotRouting& r) {
  SlotRouting next = r;
  if (next.active < 0) next.active = next.candidate >= 0 ? next.candidate : routing_.active;
  if (kind_ == Kind::kTcpSlots) GODWIT_TRY(attach(next));
  if (kind_ == Kind::kUnixSlots) GODWIT_TRY(exposeUnix(static_cast<std::size_t>(next.active)));
  routing_ = next;
  return {};
}

bool Listener::queueEmpty(int slot) const {
  if (kind_ == Kind::kShared) return true;
  const Slot& s = slots_[static_cast<std::size_t>(slot)];
  return !s.fd || !readable(s.fd.get());
}

int Listener::queueLength(int slot) const {
  std::size_t k = kind_ == Kind::kShared ? 0 : static_cast<std::size_t>(slot);
  if (k >= slots_.size() || !slots_[k].fd) return 0;
  if (address_.family() == AF_UNIX) return readable(slots_[k].fd.get()) ? -1 : 0;
  tcp_info info{};
  socklen_t n = sizeof info;
  if (::getsockopt(slots_[k].fd.get(), IPPROTO_TCP, TCP_INFO, &info, &n) != 0) return -1;
  return static_cast<int>(info.tcpi_unacked);  // of a listening socket: its accept queue
}

void Listener::retire(int slot) {
  if (kind_ == Kind::kShared || slot == routing_.active) return;
  slots_[static_cast<std::size_t>(slot)].retired = true;
}

int Listener::flushRetired(int slot, bool final) {
  if (kind_ == Kind::kShared) return 0;
  Slot& s = slots_[static_cast<std::size_t>(slot)];
  if (!s.retired || !s.fd) return 0;
  int n = resetQueue(s.fd.get());
  if (final && kind_ == Kind::kUnixSlots) {
    removePath(s);
    s.fd.reset();
    s.path.clear();
  }
  if (final) s.retired = false;
  return n;
}

void Listener::close() {
  for (Slot& s : slots_) {
    removePath(s);
    s.fd.reset();
  }
}

std::optional<ProbeTarget> Listener::probeTarget(int slot) const {
  if (kind_ == Kind::kTcpSlots && probe_port_) {
    return ProbeTarget{address_.dialable(), true, probe_source_};
  }
  if (kind_ == Kind::kUnixSlots) {
    auto a = unixAddress(slots_[static_cast<std::size_t>(slot)].path);
    if (a.ok()) return ProbeTarget{*a, false, {}};
  }
  return std::nullopt;
}

std::optional<ProbeTarget> Listener::liveTarget(int slot) const {
  if (kind_ == Kind::kTcpSlots && live_port_) {
    return ProbeTarget{address_.dialable(), true, live_source_};
  }
  return probeTarget(slot);
}

std::vector<Listener::Stored> Listener::storable(const std::string& service) const {
  std::vector<Stored> out;
  if (kind_ != Kind::kTcpSlots) return out;
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    out.push_back(
        {"gw." + service + "." + spec_.name + "." + std::to_string(k), slots_[k].fd.get()});
  }
  return out;
}

int Listener::slotFd(int slot) const {
  auto k = static_cast<std::size_t>(slot);
  return k < slots_.size() ? slots_[k].fd.get() : -1;
}

bool Listener::isRetired(int slot) const {
  auto k = static_cast<std::size_t>(slot);
  return k < slots_.size() && slots_[k].retired;
}

void Listener::save(JsonWriter& out) const {
  out.beginObject().field("name", spec_.name).field("kind", static_cast<int>(kind_));
  out.field("active", routing_.active).field("candidate", routing_.candidate);
  out.field("canary", routing_.canary_percent);
  out.field("probe", probe_port_.get()).field("live", live_port_.get());
  keepOverExec(probe_port_.get());
  keepOverExec(live_port_.get());
  out.key("slots").beginArray();
  for (const Slot& s : slots_) {
    out.beginObject().field("fd", s.fd.get()).field("path", s.path);
    out.field("device", s.device).field("inode", s.inode).field("retired", s.retired).endObject();
    keepOverExec(s.fd.get());
  }
  out.endArray().endObject();
}

Result<std::unique_ptr<Listener>> Listener::restore(const ListenSpec& spec, const JsonValue& in) {
  std::unique_ptr<Listener> out(new Listener(spec));
  out->kind_ = static_cast<Kind>(in.at("kind").num());
  auto adopt = [](UniqueFd& fd, const JsonValue& v) {
    int n = static_cast<int>(v.num(-1));
    closeOnExec(n);
    fd.reset(n);
  };
  adopt(out->probe_port_, in.at("probe"));
  adopt(out->live_port_, in.at("live"));
  for (const JsonValue& v : in.at("slots").items()) {
    Slot& s = out->slots_.emplace_back();
    adopt(s.fd, v.at("fd"));
    s.path = v.at("path").str();
    s.device = static_cast<dev_t>(v.at("device").num());
    s.inode = static_cast<ino_t>(v.at("inode").num());
    s.retired = v.at("retired").flag();
  }
  if (out->slots_.empty()) return Error(ErrorCode::kInvalid, "no sockets for " + spec.address());
  if (out->kind_ != Kind::kUnixSlots) {
    auto a = localAddressOf(out->slots_[0].fd.get());
    if (!a.ok()) return std::move(a).error();
    out->address_ = *a;
  } else {
    auto a = unixAddress(spec.path);
    if (!a.ok()) return std::move(a).error();
    out->address_ = *a;
  }
  auto source = [](const UniqueFd& fd, Address& address) {
    if (!fd) return;
    if (auto a = localAddressOf(fd.get()); a.ok()) address = *a;
  };
  source(out->probe_port_, out->probe_source_);
  source(out->live_port_, out->live_source_);
  out->routing_ = {static_cast<int>(in.at("active").num()),
                   static_cast<int>(in.at("candidate").num(-1)),
                   static_cast<int>(in.at("canary").num())};
  return out;
}

}  // namespace godwit::supervise
