#include "supervise/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/os_error.h"
#include "supervise/socket_call.h"
#include "supervise/units.h"

namespace godwit::supervise {

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

int InheritedFds::activeSlot(const std::string& service, int slots) const {
  auto it = active.find(service);
  return it == active.end() || it->second < 0 || it->second >= slots ? 0 : it->second;
}

bool Listener::stream() const {
  if (spec_.kind == ListenKind::kUdp) return false;
  if (spec_.kind != ListenKind::kInherited) return true;
  return getInt(slots_[0].fd.get(), SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
}

Result<std::unique_ptr<Listener>> Listener::create(const ListenSpec& spec, int slots,
                                                   InheritedFds& inherited,
                                                   const std::string& service) {
  std::unique_ptr<Listener> out(new Listener(spec));
  auto first = static_cast<std::size_t>(inherited.activeSlot(service, slots));
  out->slots_.resize(static_cast<std::size_t>(slots));
  out->routing_ = {static_cast<int>(first), -1, 0};
  Result<> r;
  switch (spec.kind) {
    case ListenKind::kTcp:
      r = out->openTcp(inherited, service);
      break;
    case ListenKind::kInherited:
      r = out->openInherited(inherited, service);
      break;
    case ListenKind::kUnix:
      r = out->openUnix(first, inherited, service);
      break;
    default:
      r = out->openShared();
  }
  if (!r.ok()) return std::move(r).error();
  return out;
}

Listener::~Listener() = default;

Result<> Listener::listenOn(int fd) const {
  if (::listen(fd, spec_.backlog) != 0) return osError("listen on " + spec_.address());
  // The description is shared with every child: its mode is set once, here.
  int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, spec_.nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
  return {};
}

// One socket for all generations: datagrams, abstract names.
Result<> Listener::openShared() {
  becomeShared();
  Slot& slot = slots_[0];
  bool udp = spec_.kind == ListenKind::kUdp;
  auto address = udp ? inetAddress(spec_.host, spec_.port) : abstractAddress(spec_.path);
  if (!address.ok()) return std::move(address).error();
  address_ = *address;
  slot.fd.reset(::socket(address_.family(), (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  if (!slot.fd) return osError("create a socket for " + spec_.address());
  if (udp) {
    GODWIT_TRY(prepareSocket(slot.fd.get(), spec_, address_.family()));
    // For datagrams SO_REUSEADDR would let a second server in.
    setInt(slot.fd.get(), SOL_SOCKET, SO_REUSEADDR, 0);
  }
  if (::bind(slot.fd.get(), address_.get(), address_.length) != 0) {
    return osError("bind " + spec_.address());
  }
  return udp ? Result<>() : listenOn(slot.fd.get());
}

void Listener::becomeShared() {
  kind_ = Kind::kShared;
  for (Slot& s : slots_) s.fd.reset();
  slots_.clear();
  slots_.resize(1);
  routing_ = {0, -1, 0};
}

Result<int> Listener::openSlot(int slot, int gen) {
  if (kind_ == Kind::kShared) return slots_[0].fd.get();
  Slot& s = slots_[static_cast<std::size_t>(slot)];
  if (kind_ == Kind::kUnixSlots && !s.fd) {
    GODWIT_TRY(makeUnix(s, spec_.path + "." + std::to_string(gen) + ".tmp"));
    s.serial = serials_before_ + gen;
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
  std::string prefix = storeName(service);
  if (kind_ == Kind::kTcpSlots) {
    for (std::size_t k = 0; k < slots_.size(); ++k) {
      out.push_back({prefix + std::to_string(k), slots_[k].fd.get()});
    }
  } else if (kind_ == Kind::kUnixSlots) {
    // Only the public one has clients that must not be lost. Its number keeps it apart from its
    // successor, for both are in the store for a moment.
    const Slot& s = slots_[static_cast<std::size_t>(routing_.active)];
    if (s.fd && s.path == spec_.path) {
      out.push_back({prefix + "u" + std::to_string(s.serial), s.fd.get()});
    }
  }
  return out;
}

std::string Listener::storeName(const std::string& service) const {
  return "gw." + service + "." + spec_.name + ".";
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
  out.field("serials_before", serials_before_);
  out.field("active", routing_.active).field("candidate", routing_.candidate);
  out.field("canary", routing_.canary_percent);
  out.field("probe", probe_port_.get()).field("live", live_port_.get());
  keepOverExec(probe_port_.get());
  keepOverExec(live_port_.get());
  out.key("slots").beginArray();
  for (const Slot& s : slots_) {
    out.beginObject().field("fd", s.fd.get()).field("path", s.path);
    out.field("device", s.device).field("inode", s.inode).field("retired", s.retired);
    out.field("serial", s.serial).endObject();
    keepOverExec(s.fd.get());
  }
  out.endArray().endObject();
}

Result<std::unique_ptr<Listener>> Listener::restore(const ListenSpec& spec, const JsonValue& in) {
  std::unique_ptr<Listener> out(new Listener(spec));
  out->kind_ = static_cast<Kind>(in.at("kind").num());
  out->serials_before_ = static_cast<int>(in.at("serials_before").num());
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
    s.serial = static_cast<int>(v.at("serial").num());
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
