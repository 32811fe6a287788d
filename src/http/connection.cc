#include "http/connection.h"

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "http/shard.h"

namespace godwit::http {
namespace {
constexpr std::int64_t kLingerMs = 2'000;
constexpr std::int64_t kDrainLingerMs = 500;
constexpr std::size_t kLingerBytes = 256 * 1024;
constexpr std::size_t kOwnPiece = 64 * 1024;  // larger bodies are sent from where they are
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::int64_t afterMs(std::int64_t from, std::chrono::milliseconds d) { return from + d.count(); }
}  // namespace

Connection::Connection(Shard& shard, std::uint64_t id, net::Stream stream, std::string remote)
    : shard_(shard), id_(id), stream_(std::move(stream)), remote_(std::move(remote)) {
  idle_ms_ = shard_.nowMs();
}

Connection::~Connection() { shard_.loop().clearDeadline(*this); }

bool Connection::start() {
  interest_ = EPOLLIN;
  if (!shard_.loop().poller().add(stream_.fd(), interest_, *this)) return false;
  updateDeadline();
  return true;
}

// ---- input ----

void Connection::onReady(std::uint32_t events) {
  in_turn_ = true;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    const bool gone = events & (EPOLLHUP | EPOLLERR);
    if (gone || wantsInput() || linger_ms_) readable();
    // A hang-up with no input wanted would be reported for ever.
    if (gone && !closed_ && !wantsInput() && !linger_ms_) close();
  } else if (stream_.readWantsWrite()) {
    readable();
  }
  in_turn_ = false;
  endTurn();
}

void Connection::readable() {
  for (int round = 0; round < 4 && !closed_; ++round) {
    ssize_t n = stream_.read(shard_.readBuffer(), Shard::kReadSize);
    if (n > 0) {
      shard_.counters().bytes_in.add(static_cast<std::uint64_t>(n));
      ingest({shard_.readBuffer(), static_cast<std::size_t>(n)});
      if (!stream_.tls() && static_cast<std::size_t>(n) < Shard::kReadSize) return;
      if (!wantsInput() && !linger_ms_) return;
    } else if (n == 0) {
      return endOfStream();
    } else {
      if (n != -EAGAIN) close();
      return;
    }
  }
  if (!closed_ && stream_.pending()) shard_.touch(*this);
}

void Connection::endOfStream() {
  eof_ = true;
  if (linger_ms_) return close();
  if (reading_ || (!in_.empty() && !stalled_)) refuse(reading_, {400, "the request ended early"});
  if (idle()) close();
}

void Connection::ingest(std::string_view data) {
  if (linger_ms_) {
    linger_bytes_ += data.size();
    if (linger_bytes_ > kLingerBytes) close();
    return;
  }
  if (last_ && !reading_) return;
  if (in_.empty()) {
    std::size_t used = parse(data);
    if (used < data.size()) in_.assign(data.substr(used));
  } else {
    in_.append(data);
    in_.erase(0, parse(in_));
  }
  if (in_.empty()) in_ = std::string();
}

// Understands as much of `data` as it can; returns how much. What it leaves is the start of a
// request, or waits for room.
std::size_t Connection::parse(std::string_view data) {
  std::size_t used = 0;
  stalled_ = false;
  while (!closed_) {
    std::string_view rest = data.substr(used);
    if (reading_) {
      used += feedBody(rest);
      if (reading_) break;
      continue;
    }
    if (last_) return data.size();
    if (rest.empty()) break;
    if (full()) {
      stalled_ = true;
      break;
    }
    if (!request_ms_) request_ms_ = shard_.nowMs();
    // An empty line or two before a request is forgiven (RFC 9112 section 2.2).
    if (scan_.at == 0 && rest[0] == '\r' && blank_lines_ < 2) {
      if (rest.size() < 2) break;
      if (rest[1] == '\n') {
        ++blank_lines_;
        used += 2;
        continue;
      }
    }
    if (!scan_.advance(rest, shard_.engine().head_limits)) break;
    const HeadScan scan = std::exchange(scan_, {});
    blank_lines_ = 0;
    if (scan.refusal.status) {
      refuse(nullptr, scan.refusal);
      continue;
    }
    begin(rest.substr(0, scan.end));
    used += scan.end;
  }
  return used;
}

void Connection::begin(std::string_view head) {
  Exchange* e = shard_.take();
  e->head.assign(head);
  push(e);
  idle_ms_ = 0;
  const Engine& engine = shard_.engine();
  Refusal refusal = parseHead(e->head, engine.head_limits, e->request, e->headers, e->facts);
  e->request.remote = remote_;
  e->request.tls = stream_.tls();
  e->request.id = shard_.makeId(e);
  if (engine.on_access) e->started = std::chrono::steady_clock::now();
  if (!refusal.status && e->facts.framing == Framing::kLength &&
      e->facts.length > engine.options.limits.max_body_bytes) {
    refusal = {413, "request body too large"};
  }
  if (refusal.status) return refuse(e, refusal);
  if (!e->facts.keep_alive) e->close = true;
  if (shard_.draining() && request_ms_ > afterMs(shard_.drainMs(), engine.options.drain_grace)) {
    shard_.counters().late.add();
    last_ = e->close = true;
    return answerLocally(e, 503, "the server is stopping");
  }
  if (e->facts.framing == Framing::kNone) {
    bodyComplete();
    return dispatch(e);
  }
  reading_ = e;
  body_ms_ = shard_.nowMs();
  body_bytes_ = 0;
  continue_due_ = e->facts.expect_continue;
}

std::size_t Connection::feedBody(std::string_view data) {
  if (data.empty()) return 0;
  Exchange* e = reading_;
  continue_due_ = false;  // the client did not wait
  std::size_t used = 0;
  bool done = false;
  if (e->facts.framing == Framing::kLength) {
    used = static_cast<std::size_t>(
        std::min<std::uint64_t>(data.size(), e->facts.length - e->body.size()));
    e->body.append(data.substr(0, used));
    done = e->body.size() == e->facts.length;
  } else {
    used = e->decoder.feed(data, e->body, shard_.engine().options.limits.max_body_bytes);
    if (e->decoder.refusal().status) {
      refuse(e, e->decoder.refusal());
      return used;
    }
    done = e->decoder.done();
  }
  body_bytes_ += used;
  if (done) {
    bodyComplete();
    dispatch(e);
  }
  return used;
}

void Connection::bodyComplete() {
  reading_ = nullptr;
  request_ms_ = 0;
  continue_due_ = false;
}

void Connection::dispatch(Exchange* e) {
  const Engine& engine = shard_.engine();
  if (e->close) last_ = true;
  e->request.body = e->body;
  e->dispatched = true;
  e->deadline_ms = afterMs(shard_.nowMs(), engine.options.limits.handler_timeout);
  ++e->refs;
  shard_.counters().requests.add();
  shard_.counters().pending.add();
  try {
    engine.handler(e->request, Reply(e));
  } catch (const std::exception& x) {
    // The Reply went down with the handler's frame, which answered 500.
    log::error("handler threw", {{"what", x.what()}, {"request", e->request.id}});
  } catch (...) {
    log::error("handler threw", {{"request", e->request.id}});
  }
}

void Connection::refuse(Exchange* e, Refusal refusal) {
  if (!e) {
    e = shard_.take();
    e->request.remote = remote_;
    e->request.id = shard_.makeId(e);
    if (shard_.engine().on_access) e->started = std::chrono::steady_clock::now();
    push(e);
  }
  bodyComplete();
  last_ = e->close = true;
  (refusal.status == 408 ? shard_.counters().timeouts : shard_.counters().bad).add();
  answerLocally(e, refusal.status, refusal.why);
}

void Connection::answerLocally(Exchange* e, int status, const char* why) {
  shard_.engine().protocolError(status, why, e->response);
  e->answered = true;
}

// ---- the queue ----

void Connection::push(Exchange* e) {
  e->connection = this;
  e->next = nullptr;
  ++e->refs;
  (queue_end_ ? queue_end_->next : queue_) = e;
  queue_end_ = e;
  ++queued_;
}

void Connection::pop() {
  Exchange* e = queue_;
  queue_ = e->next;
  if (!queue_) queue_end_ = nullptr;
  --queued_;
  e->connection = nullptr;
  e->next = nullptr;
  if (!shard_.engine().on_access) return shard_.release(e);
  (unsent_end_ ? unsent_end_->next : unsent_) = e;
  unsent_end_ = e;
}

void Connection::onAnswered() {
  if (!in_turn_) shard_.touch(*this);
}

bool Connection::full() const {
  const Limits& l = shard_.engine().options.limits;
  return queued_ >= l.max_pipelined || out_.memory() >= l.max_output_bytes;
}

bool Connection::wantsInput() const {
  if (eof_ || closing_) return false;
  return reading_ || (!last_ && !stalled_ && !full());
}

// ---- output ----

void Connection::endTurn() {
  if (closed_) return;
  in_turn_ = true;
  std::string& out = shard_.scratch();
  for (;;) {
    writeReady(out);
    // Room again: what was read but not yet understood comes first.
    if (!stalled_ || full() || closing_) break;
    std::string data = std::move(in_);
    in_.clear();
    std::size_t used = parse(data);
    if (used < data.size()) in_.assign(data, used);
    if (used == 0) break;
  }
  if (eof_ && !stalled_ && !in_.empty() && !last_) {
    refuse(nullptr, {400, "the request ended early"});
    in_ = std::string();
    writeReady(out);
  }
  flush(out);
  in_turn_ = false;
  if (closed_) return;
  if (closing_ && out_.empty() && !linger_ms_) linger();
  if (closed_) return;
  if (eof_ && idle()) return close();
  if (stream_.pending() && wantsInput()) {
    // Bytes that TLS holds back wake nobody.
    readable();
    if (closed_) return;
    shard_.touch(*this);
  }
  updateInterest();
  updateDeadline();
}

void Connection::writeReady(std::string& out) {
  while (queue_ && queue_->answered && !closing_) {
    writeResponse(queue_, out);
    pop();
  }
  if (continue_due_ && reading_ && queue_ == reading_) sendContinue(out);
}

void Connection::sendContinue(std::string& out) {
  continue_due_ = false;
  out.append(kContinue);
  written_ += kContinue.size();
}

void Connection::writeResponse(Exchange* e, std::string& out) {
  Response& r = e->response;
  const Engine& engine = shard_.engine();
  if (e->close || ResponseWriter::wantsClose(r) || (shard_.draining() && in_.empty())) {
    // Requests behind this one were read and get their answers: only the last one closes.
    if (e->next == nullptr) {
      closing_ = last_ = true;
      if (reading_ == e) bodyComplete();
    } else if (!shard_.draining()) {
      last_ = true;
      queue_end_->close = true;
    }
  }
  ResponseWriter::Framing f;
  f.head = e->request.method == Method::kHead;
  f.old = e->request.minor_version == 0;
  f.close = closing_;
  if (engine.options.always_request_id || !e->facts.request_id.empty())
    f.request_id = e->request.id;
  const std::size_t before = out.size();
  shard_.writer().head(out, r, f, shard_.nowMs());
  e->body_bytes = 0;
  if (!f.head && !ResponseWriter::bodiless(r.status)) {
    e->body_bytes = r.body.size();
    if (r.body.size() >= kOwnPiece) {
      written_ += out.size() - before + r.body.size();
      out_.append(std::string_view(out));
      out.clear();
      out_.append(std::move(r.body));
      r.body = std::string();
      e->sent_at = written_;
      shard_.counters().responses.add();
      if (shard_.draining() && e->dispatched) shard_.counters().finished.add();
      return;
    }
    out.append(r.body);
  }
  written_ += out.size() - before;
  e->sent_at = written_;
  shard_.counters().responses.add();
  if (shard_.draining() && e->dispatched) shard_.counters().finished.add();
}

void Connection::flush(std::string& out) {
  const bool was_empty = out_.empty();
  ssize_t result = 0;
  std::uint64_t sent = 0;
  if (was_empty && !out.empty()) {
    result = stream_.write(out.data(), out.size());
    if (result > 0) sent = static_cast<std::uint64_t>(result);
    if (sent < out.size() && (result > 0 || result == -EAGAIN)) {
      out_.append(std::string_view(out).substr(sent));
      result = stream_.tls() ? out_.flush(stream_, sent) : -EAGAIN;
    }
  } else if (!was_empty || !out_.empty()) {
    if (!out.empty()) out_.append(std::string_view(out));
    result = out_.flush(stream_, sent);
  }
  out.clear();
  if (sent > 0) {
    sent_ += sent;
    progress_ms_ = shard_.nowMs();
    shard_.counters().bytes_out.add(sent);
  }
  if (!out_.empty() && (was_empty || !write_ms_)) {
    write_ms_ = progress_ms_ = shard_.nowMs();
    write_from_ = sent_;
  }
  if (out_.empty()) write_ms_ = 0;
  if (unsent_) reportSent();
  if (result < 0 && result != -EAGAIN) close();
}

void Connection::reportSent() {
  const Engine& engine = shard_.engine();
  const auto now = std::chrono::steady_clock::now();
  while (unsent_ && unsent_->sent_at <= sent_) {
    Exchange* e = unsent_;
    unsent_ = e->next;
    if (!unsent_) unsent_end_ = nullptr;
    e->next = nullptr;
    engine.on_access({e->request, e->response.status, e->body_bytes, now - e->started});
    shard_.release(e);
  }
}

void Connection::updateInterest() {
  std::uint32_t want = 0;
  if (wantsInput() || linger_ms_) want |= EPOLLIN;
  if (!out_.empty() || stream_.readWantsWrite()) want |= EPOLLOUT;
  if (want == interest_) return;
  interest_ = want;
  shard_.loop().poller().modify(stream_.fd(), want, *this);
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
    if (queue_ && queue_->dispatched && !queue_->answered) due = std::min(due, queue_->deadline_ms);
    if (reading_) {
      due = std::min(due, bodyDue());
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
    shard_.release(late);
  } else if (reading_ ? now >= bodyDue()
                      : request_ms_ && !stalled_ && now >= afterMs(request_ms_, l.header_timeout)) {
    refuse(reading_, {408, "the request was not completed in time"});
    in_ = std::string();
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
  in_turn_ = false;
  endTurn();
}

void Connection::abort() {
  if (closed_) return;
  std::uint64_t cut = 0;
  for (Exchange* e = queue_; e; e = e->next) ++cut;
  if (!reading_ && request_ms_) ++cut;
  if (!out_.empty()) ++cut;
  shard_.counters().aborted.add(cut);
  if (cut) stream_.abortive();
  close();
}

// Closing with unread input would reset the connection and take our last response with it: end our
// side, then read on for a while.
void Connection::linger() {
  if (eof_) return close();
  stream_.shutdownWrite();
  linger_ms_ = shard_.nowMs();
  in_ = std::string();
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
  shard_.closed(*this);
}

}  // namespace godwit::http
