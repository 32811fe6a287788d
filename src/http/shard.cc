#include "http/shard.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/os_error.h"
#include "base/random.h"
#include "http/give_back.h"

namespace godwit::http {
namespace {
constexpr int kAcceptBudget = 32;  // per listener and turn: connections must not starve requests
constexpr int kDrainBudget = 4096;
constexpr std::size_t kKeepCapacity = 16 * 1024;  // of a pooled exchange's strings
constexpr auto kRetryAccept = std::chrono::milliseconds(100);
// A handshake under way when draining begins completes within a round trip or so.
constexpr auto kHandshakeGrace = std::chrono::milliseconds(100);

// Memory of a burst is given back: pooled strings keep only what a usual request needs.
void recycle(std::string& s) {
  if (s.capacity() > kKeepCapacity) {
    giveBack(s);
  } else {
    s.clear();
  }
}
}  // namespace

// A listening socket as one shard sees it.
struct Shard::Door final : net::Poller::Watcher {
  Shard& shard;
  net::Listener& listener;
  const std::uint32_t number;  // in the order of listen()
  bool watched = false;
  Door(Shard& s, net::Listener& l, std::uint32_t n) : shard(s), listener(l), number(n) {}
  void onReady(std::uint32_t) override { shard.acceptFrom(*this, kAcceptBudget); }
  void watch(bool on) {
    if (on == watched) return;
    watched = on;
    if (on) {
      shard.loop_.poller().add(listener.fd(), EPOLLIN, *this);
    } else {
      shard.loop_.poller().remove(listener.fd(), *this);
    }
  }
};

Shard::Shard(Engine& engine, net::Loop& loop, std::vector<Shard*>& peers)
    : engine_(engine),
      loop_(loop),
      peers_(peers),
      writer_(engine.options.server_header),
      read_buffer_(std::make_unique<char[]>(kReadSize)) {
  std::string prefix = randomHex(4);
  std::memcpy(id_prefix_, prefix.data(), 8);
}

Shard::~Shard() {
  // Connections close while the shard is whole: their protocols and bodies still look at it.
  auto open = std::move(connections_);
  connections_.clear();
  open.clear();
}

bool Shard::has(std::uint64_t connection) const { return connections_.contains(connection); }

// ---- accepting ----

void Shard::start(std::vector<net::Listener>& listeners) {
  loop_.onTurnEnd([this] { turnEnd(); });
  for (net::Listener& l : listeners) {
    auto number = static_cast<std::uint32_t>(doors_.size());
    doors_.push_back(std::make_unique<Door>(*this, l, number));
    doors_.back()->watch(true);
  }
  doors_open_ = true;
}

// Every loop watches every listener, so that a busy loop delays no newcomer; who accepts hands the
// socket to the loop with the fewest connections, so that they spread evenly whoever wakes first.
void Shard::acceptFrom(Door& door, int budget) {
  for (int i = 0; i < budget; ++i) {
    const std::size_t max = engine_.options.limits.max_connections;
    // When draining, who waits in the queue (a backlog at most) is let in all the same.
    if (!draining() && engine_.connections.load(std::memory_order_relaxed) >= max) {
      return pauseAccepting(false);
    }
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    int fd = ::accept4(door.listener.fd(), reinterpret_cast<sockaddr*>(&address), &length,
                       SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log::warn("accept", {{"error", errnoText(errno)}});
        pauseAccepting(true);
      }
      return;
    }
    UniqueFd socket(fd);
    engine_.connections.fetch_add(1, std::memory_order_relaxed);
    std::string remote;
    if (!door.listener.isUnix()) {
      if (door.listener.inherited()) net::tuneAccepted(fd);
      remote = net::addressText(address);
    }
    Shard* target = this;
    for (Shard* s : peers_) {
      if (draining()) break;  // the others may be done
      if (s->counters_.assigned.load(std::memory_order_relaxed) <
          target->counters_.assigned.load(std::memory_order_relaxed)) {
        target = s;
      }
    }
    target->counters_.assigned.fetch_add(1, std::memory_order_relaxed);
    if (target == this) {
      adopt(std::move(socket), std::move(remote), door.listener.tls(), door.number);
    } else {
      target->loop_.post([target, s = std::move(socket), r = std::move(remote),
                          tls = door.listener.tls(), number = door.number]() mutable {
        target->adopt(std::move(s), std::move(r), tls, number);
      });
    }
  }
}

void Shard::adopt(UniqueFd fd, std::string remote, bool tls, std::uint32_t listener) {
  std::unique_ptr<net::StreamLayer> layer;
  if (tls) layer = engine_.tls->accept(fd.get());
  if (tls && !layer) {
    engine_.connections.fetch_sub(1);
    counters_.assigned.fetch_sub(1, std::memory_order_relaxed);
    counters_.refused.add();
    return;
  }
  const std::uint64_t id = (static_cast<std::uint64_t>(loop_.index()) << 48) | next_connection_++;
  counters_.accepted.add();
  counters_.open.add();
  auto connection = std::make_unique<Connection>(
      *this, id, net::Stream(std::move(fd), std::move(layer)), std::move(remote), listener);
  Connection& c = *connection;
  connections_.emplace(id, std::move(connection));
  if (std::exchange(empty_reported_, false)) engine_.on_shard_busy();
  if (engine_.on_connect) engine_.on_connect(id, c.remote());
  if (!c.start()) {
    c.abort();
  } else if (aborting_) {
    c.abort();
  } else if (draining()) {
    c.drain();
  }
}

void Shard::pauseAccepting(bool out_of_descriptors) {
  for (auto& d : doors_) d->watch(false);
  accept_paused_ = true;
  if (out_of_descriptors) {
    retry_ = loop_.timer(Deadline::after(kRetryAccept), [this] { resumeAccepting(); });
    return;
  }
  engine_.accept_paused.store(true);
  // A connection may have closed on another loop between the check and the flag.
  if (engine_.connections.load() < engine_.options.limits.max_connections) engine_.on_room();
}

void Shard::resumeAccepting() {
  if (!accept_paused_ || !doors_open_ || draining()) return;
  accept_paused_ = false;
  for (auto& d : doors_) d->watch(true);
}

// ---- draining ----

void Shard::drain(Deadline deadline) {
  if (draining()) {
    drain_timer_ = loop_.timer(deadline, [this] { abort(); });
    return;
  }
  drain_ms_ = loop_.refreshNow();
  drain_timer_ = loop_.timer(deadline, [this] { abort(); });
  // Whoever has connected is let in; then, when the handshakes under way are through, once more.
  bool wait = false;
  for (auto& d : doors_) {
    wait |= d->listener.refuseNew();
    d->watch(true);
    acceptFrom(*d, kDrainBudget);
  }
  std::vector<Connection*> now;
  now.reserve(connections_.size());
  for (auto& [id, c] : connections_) now.push_back(c.get());
  for (Connection* c : now) c->drain();
  if (wait) {
    doors_timer_ =
        loop_.timer(Deadline::after(kHandshakeGrace).earlier(deadline), [this] { finishDoors(); });
  } else {
    finishDoors();
  }
}

void Shard::finishDoors() {
  for (auto& d : doors_) {
    if (!aborting_) acceptFrom(*d, kDrainBudget);
    d->watch(false);
  }
  doors_open_ = false;
  checkEmpty();
}

void Shard::abort() {
  aborting_ = true;
  if (!draining()) drain_ms_ = loop_.nowMs();
  doors_timer_.reset();
  finishDoors();
  std::vector<Connection*> now;
  now.reserve(connections_.size());
  for (auto& [id, c] : connections_) now.push_back(c.get());
  for (Connection* c : now) c->abort();
  turnEnd();
}

void Shard::checkEmpty() {
  if (!draining() || doors_open_ || empty_reported_ || !connections_.empty()) return;
  if (counters_.assigned.load() > 0) return;  // one is on its way here
  empty_reported_ = true;
  engine_.on_shard_empty();
}

// ---- turns ----

void Shard::touch(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  dirty_.push_back(&c);
}

void Shard::turnEnd() {
  // Bounded: what an endTurn touches anew waits for the next turn.
  for (int round = 0; round < 2 && !dirty_.empty(); ++round) {
    dirty_now_.swap(dirty_);
    for (std::size_t i = 0; i < dirty_now_.size(); ++i) {
      Connection* c = dirty_now_[i];
      c->dirty = false;
      c->endTurn();
    }
    dirty_now_.clear();
  }
  if (!dirty_.empty()) loop_.post([] {});
  if (!graveyard_.empty()) {
    // Anything still on the list of the dead's names is forgotten with them.
    for (auto& dead : graveyard_) {
      if (dead->dirty) std::erase(dirty_, dead.get());
    }
    graveyard_.clear();
  }
  checkEmpty();
}

void Shard::closed(Connection& c) {
  auto it = connections_.find(c.id());
  if (it == connections_.end()) return;
  graveyard_.push_back(std::move(it->second));
  connections_.erase(it);
  if (engine_.on_disconnect) engine_.on_disconnect(c.id());
  counters_.open.sub();
  counters_.assigned.fetch_sub(1, std::memory_order_relaxed);
  if (draining()) counters_.drain_closed.add();
  engine_.connections.fetch_sub(1);
  if (engine_.accept_paused.load(std::memory_order_relaxed) &&
      engine_.accept_paused.exchange(false)) {
    engine_.on_room();
  }
}

// ---- exchanges ----

Shard::Exchange* Shard::take() {
  if (!free_) {
    exchanges_.push_back(std::make_unique<Exchange>(*this));
    free_ = exchanges_.back().get();
  }
  Exchange* e = free_;
  free_ = e->next;
  e->next = nullptr;
  return e;
}

void Shard::release(Exchange* e) {
  if (--e->refs > 0) return;
  e->reset();
  e->next = free_;
  free_ = e;
}

std::string_view Shard::makeId(Exchange* e) {
  std::string_view given = e->facts.request_id;
  if (!given.empty() && given.size() <= 64 && std::all_of(given.begin(), given.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '.' || c == '_' || c == '-';
      })) {
    return given;
  }
  e->facts.request_id = {};
  // Two digits at a time.
  static constexpr std::array<char, 512> kHex = [] {
    std::array<char, 512> t{};
    for (std::size_t i = 0; i < 256; ++i) {
      t[2 * i] = "0123456789abcdef"[i >> 4];
      t[2 * i + 1] = "0123456789abcdef"[i & 15];
    }
    return t;
  }();
  std::memcpy(e->id, id_prefix_, 8);
  std::uint64_t n = ++next_request_;
  for (int i = 18; i >= 8; i -= 2, n >>= 8) std::memcpy(e->id + i, &kHex[2 * (n & 255)], 2);
  return {e->id, 20};
}

void Shard::answered(Exchange* e) {
  counters_.pending.sub();
  e->answered = true;
  if (!e->stream) e->reader = nullptr;  // a body may still be read while a response streams
  if (e->connection) e->connection->onAnswered();
  release(e);
}

void Shard::dropped(Exchange* e) {
  if (e->connection && e->refusal.status) {
    engine_.protocolError(e->refusal.status, e->refusal.why, e->response);
  } else if (e->connection) {
    log::error("a request was dropped unanswered", {{"request", e->request.id}});
    e->response.clear();
    engine_.protocolError(500, "the request was dropped", e->response);
  }
  answered(e);
}

namespace detail {

void Exchange::reset() {
  recycle(head);
  recycle(body);
  recycle(response.body);
  headers.clear();
  request = Request();
  facts = HeadFacts();
  response.clear();
  cancelled.store(false, std::memory_order_relaxed);
  connection = nullptr;
  decoder = ChunkedDecoder();
  file.reset();
  file_offset = 0;
  length.reset();
  stream.reset();
  protocol.reset();
  reader = nullptr;
  streamed = paused = false;
  refusal = {};
  sent_at = 0;
  body_bytes = 0;
  refs = 0;
  dispatched = answered = close = measured = false;
  route = {};
}

void answer(Exchange* e) {
  net::Loop& loop = e->shard.loop();
  if (loop.onThread()) {
    e->shard.answered(e);
  } else {
    loop.post([e] { e->shard.answered(e); });
  }
}

void drop(Exchange* e) {
  net::Loop& loop = e->shard.loop();
  if (loop.onThread()) {
    e->shard.dropped(e);
  } else {
    loop.post([e] { e->shard.dropped(e); });
  }
}

}  // namespace detail
}  // namespace godwit::http
