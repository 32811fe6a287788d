// From bytes to requests: reading, understanding, handing over.
#include <algorithm>
#include <exception>

#include "base/log.h"
#include "http/connection.h"
#include "http/give_back.h"
#include "http/shard.h"

namespace godwit::http {
namespace {

// Dropped as they come. Enough for a body that was refused by its length while a proxy was sending
// it: a reset would make the proxy say 502 instead of what we answered. Time is the other bound.
constexpr std::size_t kLingerBytes = 16 * 1024 * 1024;

}  // namespace

void Connection::readable(bool to_end) {
  unread_ = edge_;
  for (int round = 0; round < 4 && !closed_; ++round) {
    ssize_t n = stream_.read(shard_.readBuffer(), Shard::kReadSize);
    if (n <= 0) {
      unread_ = false;
      if (n == 0) return endOfStream();
      if (n != -EAGAIN) close();
      return;
    }
    shard_.counters().bytes_in.add(static_cast<std::uint64_t>(n));
    read_ms_ = shard_.nowMs();
    ingest({shard_.readBuffer(), static_cast<std::size_t>(n)});
    const bool shortened = static_cast<std::size_t>(n) < Shard::kReadSize;
    if (stream_.tls() ? !stream_.pending() : shortened && !to_end) {
      unread_ = false;
      return;
    }
    if (!wantsInput() && !linger_ms_) return;
  }
  if (!closed_ && stream_.pending()) shard_.touch(*this);
}

void Connection::endOfStream() {
  eof_ = true;
  if (linger_ms_) return close();
  if (protocol_) return protocol_->onEof();
  // Nobody waits for the rest of an endless body.
  if (queue_ && queue_->stream) return close();
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
  if (in_.empty()) giveBack(in_);
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
      used += feedBody(rest);
      if (reading_) break;
      continue;
    }
    if (last_) return data.size();
    if (rest.empty()) break;
    if (full() || upgrading()) {
      stalled_ = true;
      break;
    }
    if (!request_ms_) request_ms_ = shard_.nowMs();
    // An empty line or two before a request is forgiven (RFC 9112 section 2.2).
    if (scan_.at == 0 && rest[0] == '\r' && blank_lines_ < 2) {
      if (rest.size() < 2) break;
      if (rest[1] == '\n') {
        ++blank_lines_;
        request_ms_ = 0;
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
  e->request.listener = listener_;
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
  // A request that was read in time may have waited its turn behind others.
  if (shard_.draining() &&
      std::min(request_ms_, read_ms_) > afterMs(shard_.drainMs(), engine.options.drain_grace)) {
    shard_.counters().late.add();
    bodyComplete();
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
    // All of the room at once, but only for who has sent a part of it: a length is cheap to claim.
    if (!e->streamed && length_read_ >= e->facts.length / 4) {
      e->body.reserve(static_cast<std::size_t>(e->facts.length));
    }
    e->body.append(data.substr(0, used));
    length_read_ += used;
    done = length_read_ == e->facts.length;
  } else {
    used = e->decoder.feed(data, e->body, e->max_body);
    if (e->decoder.refusal().status) {
      refuse(e, e->decoder.refusal());
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
  if (e->dispatched) {
    // A streamed body broke off. Its handler has the request and may have begun to answer; if it
    // gives up now, that is the answer.
    e->refusal = refusal;
    return abandonBody(e);
  }
  answerLocally(e, refusal.status, refusal.why);
}

void Connection::answerLocally(Exchange* e, int status, const char* why) {
  shard_.engine().protocolError(status, why, e->response);
  e->answered = true;
}

// Tells the reader of a streamed body that no more of it comes.
void Connection::abandonBody(Exchange* e) {
  if (!e->reader) return;
  BodyReader reader = std::move(e->reader);
  e->reader = nullptr;
  reader(BodyEvent::kAborted, {});
}

}  // namespace godwit::http
