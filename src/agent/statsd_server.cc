#include "agent/statsd_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/files.h"
#include "agent/line_scan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/os_error.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kSlots = 64;
constexpr std::size_t kSlotBytes = 65536;
// Slots a power of two apart would all fall into the same few sets of every cache.
constexpr std::size_t kSlotStride = kSlotBytes + 17 * 64;
constexpr std::size_t kMaxStreams = 1024;
constexpr std::size_t kMaxLine = 65536;
constexpr int kRounds = 16;  // recvmmsg calls before other sockets get their turn

}  // namespace

struct StatsdServer::Datagram {
  UniqueFd fd;
  Source source{};
  bool inherited = false;
  std::string path;
  std::uint32_t last_overflow = 0;
  // 4 MiB, touched only as far as datagrams reach into it.
  std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kSlots * kSlotStride);
  std::array<mmsghdr, kSlots> messages{};
  std::array<iovec, kSlots> vectors{};
  std::array<std::array<char, 128>, kSlots> control{};
};

// A peer that sends packets behind their length, or lines.
class StatsdServer::Stream final : public StreamConnection {
 public:
  Stream(StatsdServer& server, Source source, bool framed, std::string container)
      : server_(server), source_(source), framed_(framed), container_(std::move(container)) {}

  void serve() override {
    std::string_view rest = in;
    framed_ ? takePackets(rest) : takeLines(rest);
    in.erase(0, in.size() - rest.size());
  }
  void ended() override {
    if (!framed_ && !in.empty() && in.size() <= kMaxLine) server_.take(in, source_, container_);
  }

 private:
  void takePackets(std::string_view& rest);
  void takeLines(std::string_view& rest);

  StatsdServer& server_;
  Source source_;
  bool framed_;  // 32-bit length before each packet; else lines
  std::string container_;
};

StatsdServer::StatsdServer(Loop& loop, Inlet& inlet) : loop_(loop), inlet_(inlet), streams_(loop) {}
StatsdServer::~StatsdServer() { close(); }

Result<> StatsdServer::open(const Section& s, InheritedSockets& inherited) {
  origin_ = s.flag("origin");
  StreamOptions streams;
  streams.name = "statsd";
  streams.max_connections = kMaxStreams;
  streams_.configure(std::move(streams));
  for (const char* key : {"udp", "udp6"}) {
    if (!s.text(key).empty()) {
      GODWIT_TRY(openDatagram(s.text(key), Source::kStatsdUdp, s, inherited));
    }
  }
  if (!s.text("unix_dgram").empty()) {
    GODWIT_TRY(openDatagram(s.text("unix_dgram"), Source::kStatsdUnix, s, inherited));
  }
  if (!s.text("unix_stream").empty()) {
    GODWIT_TRY(openStream(s.text("unix_stream"), Source::kStatsdStream, true, inherited));
  }
  if (!s.text("tcp").empty()) {
    GODWIT_TRY(openStream(s.text("tcp"), Source::kStatsdTcp, false, inherited));
  }
  return {};
}

Result<> StatsdServer::openDatagram(const std::string& address, Source source, const Section& s,
                                    InheritedSockets& inherited) {
  auto socket = openSocket(address, SOCK_DGRAM, inherited);
  if (!socket) return std::move(socket).error();
  auto d = std::make_unique<Datagram>();
  d->fd = std::move(socket->fd);
  d->inherited = socket->inherited;
  d->source = source;
  if (address.find('/') != std::string::npos) d->path = address;
  int fd = d->fd.get();
  int want = static_cast<int>(std::min<std::uint64_t>(s.size("receive_buffer"), 1u << 30));
  // FORCE needs CAP_NET_ADMIN; without it the kernel's rmem_max is the bound.
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof want) != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof want);
  }
  int got = 0;
  socklen_t size = sizeof got;
  ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
  auto granted = static_cast<std::uint64_t>(got) / 2;  // the kernel doubles what it is asked for
  if (granted < static_cast<std::uint64_t>(want)) {
    log::warn("statsd.receive_buffer",
              {{"address", address},
               {"wanted", want},
               {"granted", granted},
               {"hint", "sysctl net.core.rmem_max=" + std::to_string(want)}});
  }
  if (stats_.receive_buffer == 0 || granted < stats_.receive_buffer) {
    stats_.receive_buffer = granted;
  }
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  if (origin_ && !d->path.empty()) ::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  for (std::size_t i = 0; i < kSlots; ++i) {
    d->vectors[i] = {d->bytes.get() + i * kSlotStride, kSlotBytes};
    d->messages[i].msg_hdr.msg_iov = &d->vectors[i];
    d->messages[i].msg_hdr.msg_iovlen = 1;
    d->messages[i].msg_hdr.msg_control = d->control[i].data();
  }
  Datagram* raw = d.get();
  GODWIT_TRY(loop_.add(fd, EPOLLIN, [this, raw](std::uint32_t) {
    for (int i = 0; i < kRounds && readDatagrams(*raw); ++i) {
    }
  }));
  datagrams_.push_back(std::move(d));
  log::info("statsd.listening", {{"address", address}, {"receive_buffer", granted}});
  return {};
}

// False when the socket is empty.
bool StatsdServer::readDatagrams(Datagram& d) {
  for (auto& m : d.messages) m.msg_hdr.msg_controllen = d.control[0].size();
  int n = ::recvmmsg(d.fd.get(), d.messages.data(), kSlots, MSG_DONTWAIT, nullptr);
  if (n <= 0) return false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    msghdr& h = d.messages[i].msg_hdr;
    std::string container;
    for (cmsghdr* c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
      if (c->cmsg_level != SOL_SOCKET) continue;
      if (c->cmsg_type == SO_RXQ_OVFL) {
        std::uint32_t total = 0;  // since the socket was made, modulo 2^32
        std::memcpy(&total, CMSG_DATA(c), sizeof total);
        stats_.kernel_drops += total - d.last_overflow;
        d.last_overflow = total;
      } else if (c->cmsg_type == SCM_CREDENTIALS) {
        ucred cred{};
        std::memcpy(&cred, CMSG_DATA(c), sizeof cred);
        container = containerOf(cred.pid);
      }
    }
    if (h.msg_flags & MSG_TRUNC) ++stats_.truncated;
    h.msg_flags = 0;
    take({static_cast<const char*>(d.vectors[i].iov_base), d.messages[i].msg_len}, d.source,
         container);
  }
  return n == static_cast<int>(kSlots);
}

void StatsdServer::take(std::string_view datagram, Source source, const std::string& container) {
  if (datagram.empty()) return;
  if (!container.empty()) {
    // The origin has to be in the log, because the log alone decides what comes out.
    rewritten_.clear();
    while (!datagram.empty()) {
      std::size_t n = datagram.find('\n');
      std::string_view line = datagram.substr(0, n);
      datagram.remove_prefix(n == std::string_view::npos ? datagram.size() : n + 1);
      if (line.empty()) continue;
      rewritten_ += line;
      if (line.find("|c:") == std::string_view::npos) rewritten_ += "|c:" + container;
      rewritten_ += '\n';
    }
    datagram = rewritten_;
  }
  std::size_t lines = countLines(datagram);
  if (lines == 0) return;
  ++stats_.packets;
  stats_.lines += lines;
  if (!inlet_.append(Inlet::LaneName::kStatsd, FrameType::kStatsd,
                     static_cast<std::uint16_t>(lines), datagram, source)) {
    ++stats_.refused;
  }
}

void StatsdServer::tick() {
  inlet_.append(Inlet::LaneName::kStatsd, FrameType::kCheckpoint, 0, "tick", Source::kSelf);
}

// "…/docker-<64 hex>.scope", "…/kubepods/…/<64 hex>": the last path element's hexadecimal id.
std::string StatsdServer::containerOf(int pid) {
  std::int64_t now = Clock::system().nowMs();
  auto it = containers_.find(pid);
  if (it != containers_.end() && now - it->second.second < 60'000) return it->second.first;
  if (containers_.size() > 10'000) containers_.clear();
  std::string id;
  if (auto text = readFile("/proc/" + std::to_string(pid) + "/cgroup", 65536)) {
    std::size_t run = 0;
    for (std::size_t i = 0; i <= text->size(); ++i) {
      char c = i < text->size() ? (*text)[i] : '\n';
      bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      if (hex) {
        ++run;
        continue;
      }
      if (run == 64) id = text->substr(i - 64, 64);
      run = 0;
    }
  }
  containers_[pid] = {id, now};
  return id;
}

Result<> StatsdServer::openStream(const std::string& address, Source source, bool framed,
                                  InheritedSockets& inherited) {
  return streams_.listen(address, inherited, [this, source, framed](int fd) {
    std::string container;
    ucred cred{};
    socklen_t size = sizeof cred;
    if (origin_ && framed && ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0) {
      container = containerOf(cred.pid);
    }
    return std::make_unique<Stream>(*this, source, framed, std::move(container));
  });
}

void StatsdServer::Stream::takePackets(std::string_view& rest) {
  while (rest.size() >= 4) {
    std::uint32_t size = 0;
    std::memcpy(&size, rest.data(), 4);
    if (size > kSlotBytes) {  // not this protocol, or a broken client
      ++server_.stats_.truncated;
      closing = true;
      return;
    }
    if (rest.size() - 4 < size) return;
    server_.take(rest.substr(4, size), source_, container_);
    rest.remove_prefix(4u + size);
  }
}

void StatsdServer::Stream::takeLines(std::string_view& rest) {
  std::size_t last = rest.rfind('\n');
  while (last != std::string_view::npos && !rest.empty()) {
    // Whole lines, in frames of at most 32 KiB so that n_samples fits.
    std::size_t end = last + 1 <= 32768 ? last : rest.rfind('\n', 32767);
    if (end == std::string_view::npos) end = rest.find('\n');
    server_.take(rest.substr(0, end + 1), source_, container_);
    rest.remove_prefix(end + 1);
    last = rest.rfind('\n');
  }
  if (rest.size() > kMaxLine) {
    ++server_.stats_.truncated;
    closing = true;
  }
}

StatsdServerStats StatsdServer::stats() const {
  StatsdServerStats s = stats_;
  s.connections = streams_.accepted();
  return s;
}

void StatsdServer::close() {
  streams_.readRest();
  for (auto& d : datagrams_) {
    loop_.remove(d->fd.get());
    // What is in the kernel's buffer has been accepted from its sender. Bounded by the buffer: the
    // path goes first, so that no new sender finds it.
    if (d->inherited) continue;
    if (!d->path.empty()) ::unlink(d->path.c_str());
    for (int i = 0; i < 4096 && readDatagrams(*d); ++i) {
    }
  }
  datagrams_.clear();
  streams_.close();
}

}  // namespace godwit::agent
