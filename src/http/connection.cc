// Life and time of a connection; connection_input.cc and connection_output.cc hold the rest.
#include "http/connection.h"

#include <algorithm>

#include "http/give_back.h"
#include "http/shard.h"

namespace godwit::http {
namespace {

constexpr std::int64_t kLingerMs = 2'000;
constexpr std::int64_t kDrainLingerMs = 500;

}  // namespace

Connection::Connection(Shard& shard, std::uint64_t id, net::Stream stream, std::string remote,
                       std::uint32_t listener)
    : shard_(shard),
      id_(id),
      stream_(std::move(stream)),
      remote_(std::move(remote)),
      listener_(listener),
      // TLS keeps bytes back, and a unix socket ends a read at a message that carries descriptors:
      // there a short read does not mean that all was read.
      edge_(!stream_.tls() && !remote_.empty()) {
  idle_ms_ = shard_.nowMs();
}

Connection::~Connection() {
  // Only when the shard goes down with the connection open.
  if (!closed_) close();
}

bool Connection::start() {
  interest_ = edge_ ? kEdge : std::uint32_t{EPOLLIN};
  if (!shard_.loop().poller().add(stream_.fd(), interest_, *this)) return false;
  updateDeadline();
  return true;
}

void Connection::onReady(std::uint32_t events) {
  in_turn_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    const bool gone = events & (EPOLLHUP | EPOLLERR);
    if (gone || wantsInput() || linger_ms_) {
      // Behind the bytes may be the end, and behind those before an urgent one the rest.
      readable((events & ~std::uint32_t{EPOLLIN | EPOLLOUT}) != 0);
    } else {
      unread_ = edge_;
    }
    // A hang-up with no input wanted would be reported for ever.
    if (gone && !closed_ && !wantsInput() && !linger_ms_) close();
  } else if (stream_.readWantsWrite()) {
    readable();
  }
  in_turn_ = false;
  endTurn();
}

// ---- time ----

std::int64_t Connection::bodyDue() const {
  const Limits& l = shard_.engine().options.limits;
  std::uint64_t earned = l.min_rate ? body_bytes_ * 1000 / l.min_rate : 0;
  return afterMs(body_ms_, l.body_timeout) + static_cast<std::int64_t>(earned);
}

// A reader must make progress, and over the whole time keep up the minimum rate.
std::int64_t Connection::writeDue() const {
  const Limits& l = shard_.engine().options.limits;
  std::int64_t due = afterMs(progress_ms_, l.write_timeout);
  if (l.min_rate) {
    std::uint64_t earned = (sent_ - write_from_) * 1000 / l.min_rate;
    due = std::min(due, afterMs(write_ms_, l.write_timeout) + static_cast<std::int64_t>(earned));
  }
  return due;
}

void Connection::updateDeadline() {
  const Limits& l = shard_.engine().options.limits;
  std::int64_t due = net::Wheel::kNever;
  if (linger_ms_) {
    due = linger_ms_ + (shard_.draining() ? kDrainLingerMs : kLingerMs);
  } else {
    if (!out_.empty()) due = writeDue();
    if (protocol_) due = std::min(due, protocol_->due());
    if (queue_ && queue_->dispatched && !queue_->answered) due = std::min(due, queue_->deadline_ms);
    if (reading_) {
      if (!reading_->paused) due = std::min(due, bodyDue());
    } else if (request_ms_ && !stalled_) {
      due = std::min(due, afterMs(request_ms_, l.header_timeout));
    } else if (idle()) {
      if (idle_ms_ == 0) idle_ms_ = shard_.nowMs();
      due = afterMs(idle_ms_, stream_.handshaking() ? l.header_timeout : l.idle_timeout);
      if (shard_.draining()) {
        due = std::min(due, afterMs(shard_.drainMs(), shard_.engine().options.drain_idle));
      }
    }
  }
  shard_.loop().setDeadline(*this, due);
}

void Connection::onDeadline() {
  if (closed_) return;
  const Limits& l = shard_.engine().options.limits;
  const std::int64_t now = shard_.nowMs();
  if (linger_ms_) return close();
  if (!out_.empty() && now >= writeDue()) {
    shard_.counters().timeouts.add();
    stream_.abortive();  // unsent bytes must not keep the socket alive in the kernel
    return close();
  }
  if (protocol_) {
    in_turn_ = true;
    if (now >= protocol_->due()) protocol_->onDue(now);
    in_turn_ = false;
    return endTurn();
  }
  if (queue_ && queue_->dispatched && !queue_->answered && now >= queue_->deadline_ms) {
    // The handler keeps its exchange; a stand-in takes its place and its answer.
    Exchange* late = queue_;
    Exchange* stand_in = shard_.take();
    stand_in->head = late->head;
    parseHead(stand_in->head, shard_.engine().head_limits, stand_in->request, stand_in->headers,
              stand_in->facts);
    stand_in->request.remote = remote_;
    stand_in->request.id = shard_.makeId(stand_in);
    stand_in->started = late->started;
    stand_in->route = late->route;
    stand_in->measured = late->measured;
    stand_in->connection = this;
    stand_in->refs = 1;
    stand_in->dispatched = true;
    stand_in->close = late->close;
    stand_in->next = late->next;
    queue_ = stand_in;
    if (queue_end_ == late) queue_end_ = stand_in;
    late->connection = nullptr;
    late->next = nullptr;
    late->cancelled.store(true, std::memory_order_release);
    shard_.counters().timeouts.add();
    answerLocally(stand_in, 503, "the handler's deadline passed");
    if (reading_ == late) {
      bodyComplete();
      last_ = stand_in->close = true;
    }
    abandonBody(late);
    shard_.release(late);
  } else if (reading_ ? !reading_->paused && now >= bodyDue()
                      : request_ms_ && !stalled_ && now >= afterMs(request_ms_, l.header_timeout)) {
    refuse(reading_, {408, "the request was not completed in time"});
    giveBack(in_);
  } else if (idle()) {
    readable();  // last chance
    if (closed_) return;
    bool over =
        now >= afterMs(idle_ms_, stream_.handshaking() ? l.header_timeout : l.idle_timeout) ||
        (shard_.draining() && now >= afterMs(shard_.drainMs(), shard_.engine().options.drain_idle));
    if (idle() && over) {
      if (!shard_.draining()) return close();
      closing_ = last_ = true;  // end our side first: a request may be under way
    }
  }
  endTurn();
}

// ---- the end ----

void Connection::drain() {
  if (closed_ || drained_) return;
  drained_ = true;
  in_turn_ = true;
  if (wantsInput()) readable();
  for (Exchange* e = queue_; e && !closed_; e = e->next) {
    if (e->stream && e->stream->on_drain) e->stream->on_drain();
  }
  if (protocol_ && !closed_) protocol_->onDrain();
  in_turn_ = false;
  endTurn();
}

void Connection::abort() {
  if (closed_) return;
  std::uint64_t cut = protocol_ && protocol_->busy() && out_.empty() ? 1 : 0;
  for (Exchange* e = queue_; e; e = e->next) ++cut;
  if (!reading_ && request_ms_) ++cut;
  if (!out_.empty() && !(queue_ && queue_->stream)) ++cut;
  shard_.counters().aborted.add(cut);
  if (cut) stream_.abortive();
  close();
}

// Closing with unread input would reset the connection and take our last response with it: end our
// side, then read on for a while.
void Connection::linger() {
  if (abortive_) stream_.abortive();
  if (eof_ || abortive_) return close();
  stream_.shutdownWrite();
  linger_ms_ = shard_.nowMs();
  giveBack(in_);
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  while (queue_) {
    Exchange* e = queue_;
    queue_ = e->next;
    e->next = nullptr;
    e->connection = nullptr;
    e->cancelled.store(true, std::memory_order_release);
    if (e->stream) {
      const std::shared_ptr<detail::BodyState> body = std::move(e->stream);
      e->stream.reset();
      body->detach();
    }
    abandonBody(e);
    shard_.release(e);
  }
  while (unsent_) {
    Exchange* e = unsent_;
    unsent_ = e->next;
    e->next = nullptr;
    shard_.release(e);
  }
  queue_end_ = unsent_end_ = reading_ = nullptr;
  queued_ = 0;
  out_.clear();
  shard_.loop().clearDeadline(*this);
  shard_.loop().poller().remove(stream_.fd(), *this);
  stream_.close();
  if (protocol_) {
    const std::shared_ptr<Protocol> protocol = std::move(protocol_);
    protocol_.reset();
    protocol->onClosed();
  }
  shard_.closed(*this);
}

}  // namespace godwit::http
