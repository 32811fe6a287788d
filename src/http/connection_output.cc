// From answers to bytes: the queue of exchanges, heads and bodies, what the kernel has not taken.
#include <algorithm>
#include <charconv>

#include "http/connection.h"
#include "http/give_back.h"
#include "http/shard.h"

namespace godwit::http {
namespace {

constexpr std::size_t kOwnPiece = 64 * 1024;  // larger bodies are sent from where they are
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

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
  // The scratch is this connection's while it writes, and empty otherwise.
  return queued_ >= l.max_pipelined ||
         out_.memory() + shard_.scratch().size() >= l.max_output_bytes;
}

// What follows a request to upgrade may not be HTTP: its answer decides.
bool Connection::upgrading() const { return queue_end_ && queue_end_->facts.upgrade; }

bool Connection::canParse() const {
  return stalled_ && !closing_ && !full() && !upgrading() && !(reading_ && reading_->paused);
}

bool Connection::wantsInput() const {
  if (eof_ || closing_) return false;
  if (protocol_) return protocol_->wantsInput();
  if (reading_) return !reading_->paused;
  return !last_ && !stalled_ && !full();
}

void Connection::endTurn() {
  if (closed_) return;
  in_turn_ = true;
  std::string& out = shard_.scratch();
  for (;;) {
    writeReady(out);
    // Room again: what was read but not yet understood comes first.
    if (!canParse()) break;
    std::string data = std::move(in_);
    in_.clear();
    std::size_t used = parse(data);
    if (used < data.size()) in_.assign(data, used);
  }
  if (eof_ && !stalled_ && !in_.empty() && !last_) {
    refuse(nullptr, {400, "the request ended early"});
    giveBack(in_);
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
  // All is sent at once, so no event will say that there is room again.
  if (canParse()) shard_.touch(*this);
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
      giveBack(r.body);
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

// With output to wait for, or input to leave where it is, readiness is told as long as it lasts.
// The usual case, nothing but input wanted, is told at its edge: the kernel need not look again at
// every connection it has just reported. To ask anew, or otherwise, tells what has been left
// unread.
void Connection::updateInterest() {
  std::uint32_t want = 0;
  if (wantsInput() || linger_ms_) want |= EPOLLIN;
  if (!out_.empty() || stream_.readWantsWrite()) want |= EPOLLOUT;
  if (edge_ && want == EPOLLIN) want = kEdge;
  if (want == interest_ && !(want == kEdge && unread_)) return;
  interest_ = want;
  unread_ = false;
  shard_.loop().poller().modify(stream_.fd(), want, *this);
}

}  // namespace godwit::http
