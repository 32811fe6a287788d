#include "http/connection.h"

#include <algorithm>
#include <charconv>
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

Connection::~Connection() {
  // Only when the shard goes down with the connection open.
  if (!closed_) close();
}

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
      if (stream_.tls() ? !stream_.pending() : static_cast<std::size_t>(n) < Shard::kReadSize) {
        return;
      }
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
  if (protocol_) return protocol_->onEof();
  // Nobody waits for the rest of an endless body.
  if (queue_ && queue_->stream) return close();
  if (reading_ && reading_->dispatched) return close();  // its reader is told
  if (reading_ || (!in_.empty() && !stalled_)) refuse(reading_, {400, "the request ended early"});
  if (idle()) close();
}

void Connection::ingest(std::string_view data) {
  if (linger_ms_) {
    linger_bytes_ += data.size();
    if (linger_bytes_ > kLingerBytes) close();
    return;
  }
  if (protocol_) return protocol_->onData(data);
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
      if (reading_->paused) {
        stalled_ = true;
        break;
      }
      const std::size_t n = feedBody(rest);
      used += n;
      if (reading_ && n < rest.size()) continue;  // paused on the way
      if (reading_) break;
      continue;
    }
    if (last_) return data.size();
    if (rest.empty()) break;
    // What follows a request to upgrade may not be HTTP: its answer decides.
    if (full() || (queue_end_ && queue_end_->facts.upgrade)) {
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
  e->request.connection = id_;
  e->max_body = engine.options.limits.max_body_bytes;
  if (!refusal.status && engine.on_head) {
    const BodyPolicy policy = engine.on_head(e->request);
    e->streamed = policy.stream;
    if (policy.max_bytes) e->max_body = policy.max_bytes;
  }
  if (engine.reports()) e->started = std::chrono::steady_clock::now();
  if (!refusal.status && e->facts.framing == Framing::kLength && e->facts.length > e->max_body) {
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
    dispatch(e);
    if (e->streamed) deliverBody(e, true);
    return;
  }
  reading_ = e;
  body_ms_ = shard_.nowMs();
  body_bytes_ = 0;
  length_read_ = 0;
  continue_due_ = e->facts.expect_continue;
  if (e->streamed) dispatch(e);
}

// Hands what a streamed body has gathered to its reader. The reader may answer, and then may be
// gone; the exchange itself stays while it is queued.
void Connection::deliverBody(Exchange* e, bool done) {
  if (!e->reader) {
    e->body.clear();
    return;
  }
  BodyReader reader = std::move(e->reader);
  e->reader = nullptr;
  if (!e->body.empty()) reader(BodyEvent::kData, e->body);
  e->body.clear();
  if (done) return reader(BodyEvent::kEnd, {});
  if ((!e->answered || e->stream) && !e->reader) e->reader = std::move(reader);
}

std::size_t Connection::feedBody(std::string_view data) {
  if (data.empty()) return 0;
  Exchange* e = reading_;
  continue_due_ = false;  // the client did not wait
  std::size_t used = 0;
  bool done = false;
  if (e->facts.framing == Framing::kLength) {
    used = static_cast<std::size_t>(
        std::min<std::uint64_t>(data.size(), e->facts.length - length_read_));
    e->body.append(data.substr(0, used));
    length_read_ += used;
    done = length_read_ == e->facts.length;
  } else {
    used = e->decoder.feed(data, e->body, e->max_body);
    if (e->decoder.refusal().status) {
      if (e->dispatched) {
        // Its handler has the request already and may even have begun to answer.
        close();
      } else {
        refuse(e, e->decoder.refusal());
      }
      return used;
    }
    done = e->decoder.done();
  }
  body_bytes_ += used;
  if (done) bodyComplete();
  if (e->streamed) {
    deliverBody(e, done);
    if (!done && e->answered && !e->stream) {
      bodyComplete();  // the rest will not be looked at
      last_ = e->close = true;
    }
  } else if (done) {
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
  if (!e->streamed) e->request.body = e->body;
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
    if (shard_.engine().reports()) e->started = std::chrono::steady_clock::now();
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
  if (!shard_.engine().reports()) return shard_.release(e);
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
  if (protocol_) return protocol_->wantsInput();
  if (reading_) return !reading_->paused;
  return !last_ && !stalled_ && !full();
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
  if (close_after_stream_ && !queue_) closing_ = true;
  flush(out);
  in_turn_ = false;
  if (closed_) return;
  if (closing_ && out_.empty() && !linger_ms_) linger();
  if (closed_) return;
  if (eof_ && idle()) return close();
  // What these write waits for the next turn.
  if (queue_ && queue_->stream) queue_->stream->settle(out_.memory());
  if (protocol_) protocol_->onFlushed();
  if (closed_) return;
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
    Exchange* e = queue_;
    if (e->stream) {
      if (!writeStream(e, out)) break;
    } else {
      writeResponse(e, out);
    }
    std::shared_ptr<Protocol> protocol = std::move(e->protocol);
    pop();
    if (protocol) return takeOver(std::move(protocol), out);
  }
  if (continue_due_ && reading_ && queue_ == reading_ && !reading_->answered) sendContinue(out);
}

void Connection::takeOver(std::shared_ptr<Protocol> protocol, std::string& out) {
  last_ = true;
  stalled_ = false;
  protocol_ = std::move(protocol);
  // What it writes comes after the response that made it.
  out_.append(std::string_view(out));
  out.clear();
  std::string early = std::move(in_);
  in_.clear();
  protocol_->onOpen(*this);
  if (!closed_ && !early.empty()) protocol_->onData(early);
  if (!closed_ && shard_.draining()) protocol_->onDrain();
}

void Connection::write(std::string_view bytes) {
  if (closed_) return;
  written_ += bytes.size();
  out_.append(bytes);
  if (!in_turn_) shard_.touch(*this);
}

void Connection::write(Output::Shared bytes) {
  if (closed_) return;
  written_ += bytes->size();
  out_.append(std::move(bytes));
  if (!in_turn_) shard_.touch(*this);
}

void Connection::closeWhenFlushed() {
  closing_ = last_ = true;
  if (!in_turn_) shard_.touch(*this);
}

void Connection::resumed() {
  body_ms_ = shard_.nowMs();
  body_bytes_ = 0;
  if (!in_.empty()) stalled_ = true;
  if (!in_turn_) shard_.touch(*this);
}

// Writes what a streamed response has; true when that was the last of it.
bool Connection::writeStream(Exchange* e, std::string& out) {
  // A local copy: finishing lets go of the exchange's.
  const std::shared_ptr<detail::BodyState> body = e->stream;
  const bool head_only = e->request.method == Method::kHead;
  const bool chunked = !e->length && e->request.minor_version > 0;
  const std::size_t before = out.size();
  if (!body->head_written) {
    body->head_written = true;
    if (!chunked && !e->length) e->close = true;
    writeHead(e, out, chunked, /*until_close=*/!chunked && !e->length);
  }
  if (head_only || ResponseWriter::bodiless(e->response.status)) {
    body->ended = true;
    body->closed.store(true, std::memory_order_release);
    body->pending.clear();
  } else if (!body->pending.empty()) {
    if (e->length && e->body_bytes + body->pending.size() > *e->length) {
      body->pending.resize(static_cast<std::size_t>(*e->length - e->body_bytes));
      body->aborted = true;  // more than was promised: the framing is lost
    }
    e->body_bytes += body->pending.size();
    if (chunked) {
      char size[20];
      auto r = std::to_chars(size, size + sizeof size, body->pending.size(), 16);
      out.append(size, static_cast<std::size_t>(r.ptr - size)).append("\r\n");
      out.append(body->pending).append("\r\n");
    } else {
      out.append(body->pending);
    }
    body->pending.clear();
  }
  if (body->ended && chunked && !head_only && !ResponseWriter::bodiless(e->response.status))
    out.append("0\r\n\r\n");
  written_ += out.size() - before;
  e->sent_at = written_;
  if (body->ended && e->length && !head_only && e->body_bytes < *e->length) body->aborted = true;
  if (body->aborted) {
    closing_ = last_ = true;
    abortive_ = true;
  } else if (!body->ended) {
    return false;
  }
  if (reading_ == e) {
    bodyComplete();
    closing_ = last_ = true;
  }
  e->reader = nullptr;
  finished(e);
  e->stream.reset();
  body->detach();
  return true;
}

void Connection::finished(Exchange* e) {
  shard_.counters().responses.add();
  if (shard_.draining() && e->dispatched) shard_.counters().finished.add();
}

void Connection::sendContinue(std::string& out) {
  continue_due_ = false;
  out.append(kContinue);
  written_ += kContinue.size();
}

void Connection::writeHead(Exchange* e, std::string& out, bool chunked, bool until_close) {
  const Response& r = e->response;
  const Engine& engine = shard_.engine();
  if (reading_ == e && !e->stream) {
    // Answered before its body was over: the rest will not be looked at.
    bodyComplete();
    e->close = true;
  }
  if (e->close || ResponseWriter::wantsClose(r) || (shard_.draining() && in_.empty())) {
    // Requests behind this one were read and get their answers: only the last one closes.
    if (e->next == nullptr || until_close) {
      if (e->stream) {
        last_ = true;
        close_after_stream_ = true;
      } else {
        closing_ = last_ = true;
      }
    } else if (!shard_.draining()) {
      last_ = true;
      queue_end_->close = true;
    }
  }
  ResponseWriter::Framing f;
  f.head = e->request.method == Method::kHead;
  f.old = e->request.minor_version == 0;
  f.close = closing_ || close_after_stream_;
  f.chunked = chunked;
  f.until_close = until_close;
  f.upgrade = e->protocol != nullptr;
  if (e->length) {
    f.has_length = true;
    f.length = *e->length;
  }
  if (engine.options.always_request_id || !e->facts.request_id.empty())
    f.request_id = e->request.id;
  shard_.writer().head(out, r, f, shard_.nowMs());
}

void Connection::writeResponse(Exchange* e, std::string& out) {
  Response& r = e->response;
  const std::size_t before = out.size();
  writeHead(e, out, false, false);
  e->body_bytes = 0;
  const bool body = e->request.method != Method::kHead && !ResponseWriter::bodiless(r.status);
  const std::size_t head_bytes = out.size() - before;
  written_ += head_bytes;
  if (body && e->file) {
    e->body_bytes = static_cast<std::size_t>(*e->length);
    out_.append(std::string_view(out));
    out.clear();
    out_.appendFile(std::move(e->file), e->file_offset, *e->length);
  } else if (body) {
    e->body_bytes = r.body.size();
    if (r.body.size() >= kOwnPiece) {
      out_.append(std::string_view(out));
      out.clear();
      out_.append(std::move(r.body));
      r.body = std::string();
    } else {
      out.append(r.body);
    }
  }
  written_ += e->body_bytes;
  e->sent_at = written_;
  finished(e);
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
    if (engine.on_access) {
      engine.on_access({e->request, e->response.status, e->body_bytes, now - e->started, e->route});
    }
    if (engine.metrics && (e->measured || engine.measure_all)) {
      const std::string_view known = toString(e->request.method);
      engine.metrics->record(
          {e->route, known.empty() ? "other" : known, now - e->started, e->response.status});
    }
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
    if (reading_ && reading_->dispatched) {
      shard_.counters().timeouts.add();
      return close();  // a streamed body: its reader is told
    }
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

// Tells the reader of a streamed body that no more of it comes.
void Connection::abandonBody(Exchange* e) {
  if (!e->reader) return;
  BodyReader reader = std::move(e->reader);
  e->reader = nullptr;
  reader(BodyEvent::kAborted, {});
}

}  // namespace godwit::http
