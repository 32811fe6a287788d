#include "godwit/http/websocket.h"

#include <atomic>

#include "base/encoding.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "http/protocol.h"
#include "http/shard.h"
#include "http/text.h"
#include "http/ws_codec.h"

namespace godwit::http {
namespace detail {

namespace {
constexpr std::size_t kWorthDeflating = 128;
}

// The server's side of one socket. Lives as long as the connection or a handle does.
class WsSession final : public Protocol,
                        private WsDecoder::Sink,
                        public std::enable_shared_from_this<WsSession> {
 public:
  WsSession(Shard& s, std::uint64_t id, WebSocket::Events events, WebSocket::Options options,
            bool deflate)
      : shard(s),
        connection(id),
        options_(std::move(options)),
        deflate_(deflate),
        decoder_(options_.max_message_bytes, deflate),
        events_(std::move(events)) {}

  // Any thread.
  template <class F>
  bool onLoop(std::size_t bytes, F f) {
    if (closing.load(std::memory_order_acquire)) return false;
    net::Loop& loop = shard.loop();
    if (loop.onThread()) {
      f(*this);
      return !closing.load(std::memory_order_relaxed);
    }
    posted.fetch_add(bytes, std::memory_order_relaxed);
    loop.post([self = shared_from_this(), bytes, f = std::move(f)]() mutable {
      self->posted.fetch_sub(bytes, std::memory_order_relaxed);
      f(*self);
    });
    return true;
  }

  static WsMessage prepare(WsOpcode opcode, std::string_view payload) {
    WsMessage m;
    auto plain = std::make_shared<std::string>();
    wsFrame(*plain, opcode, payload);
    m.plain_ = std::move(plain);
    if (payload.size() >= kWorthDeflating) {
      std::string packed;
      if (wsDeflate(payload, packed) && packed.size() < payload.size()) {
        auto frame = std::make_shared<std::string>();
        wsFrame(*frame, opcode, packed, true);
        m.deflated_ = std::move(frame);
      }
    }
    return m;
  }

  // Loop thread.
  void sendPayload(WsOpcode opcode, std::string_view payload) {
    std::string frame;
    std::string packed;
    if (deflate_ && payload.size() >= kWorthDeflating && wsDeflate(payload, packed) &&
        packed.size() < payload.size()) {
      wsFrame(frame, opcode, packed, true);
    } else {
      wsFrame(frame, opcode, payload);
    }
    sendFrame(std::move(frame));
  }
  void sendMessage(const WsMessage& m) {
    if (!link_ || close_sent_) return;
    link_->write(deflate_ && m.deflated_ ? m.deflated_ : m.plain_);
    account();
  }
  void startClose(std::uint16_t code, std::string_view reason) {
    if (!link_ || close_sent_) return;
    std::string payload;
    if (code != 1005) {
      payload.push_back(static_cast<char>(code >> 8));
      payload.push_back(static_cast<char>(code & 0xff));
      payload.append(reason.substr(0, 123));
    }
    std::string frame;
    wsFrame(frame, WsOpcode::kClose, payload);
    link_->write(frame);
    close_sent_ = true;
    closing.store(true, std::memory_order_release);
    close_due_ = shard.nowMs() + options_.close_timeout.count();
  }

  // Protocol.
  void onOpen(Connection& link) override {
    link_ = &link;
    heard_ms_ = shard.nowMs();
    call([this](WebSocket& ws) {
      if (events_.open) events_.open(ws);
    });
  }
  void onData(std::string_view bytes) override {
    heard_ms_ = shard.nowMs();
    pinged_ = false;
    if (std::uint16_t code = decoder_.feed(bytes, *this)) {
      fail(code);
    }
  }
  void onEof() override {
    if (link_) link_->closeNow();
  }
  void onFlushed() override {
    if (!link_) return;
    unsent.store(link_->unsent(), std::memory_order_relaxed);
    if (!was_full_ || link_->unsent() > fullAt() / 2) return;
    was_full_ = false;
    call([this](WebSocket& ws) {
      if (events_.writable) events_.writable(ws);
    });
  }
  void onDrain() override { startClose(1001, "the server is stopping"); }
  [[nodiscard]] std::int64_t due() const override {
    if (close_sent_) return close_due_;
    return heard_ms_ +
           (pinged_ ? options_.ping_interval + options_.pong_timeout : options_.ping_interval)
               .count();
  }
  void onDue(std::int64_t now_ms) override {
    if (!link_) return;
    if (close_sent_ || pinged_) {
      // No close frame, or no sign of life, in time.
      return link_->closeNow();
    }
    pinged_ = true;
    heard_ms_ = now_ms - options_.ping_interval.count();
    std::string frame;
    wsFrame(frame, WsOpcode::kPing, {});
    link_->write(frame);
  }
  [[nodiscard]] bool wantsInput() const override {
    // A peer that does not read its answers is not read either.
    return link_ && !done_ && link_->unsent() < options_.max_buffered_bytes / 4;
  }
  [[nodiscard]] bool busy() const override { return !done_; }
  void onClosed() override {
    link_ = nullptr;
    closing.store(true, std::memory_order_release);
    unsent.store(0, std::memory_order_relaxed);
    tellClosed();
  }

  Shard& shard;
  const std::uint64_t connection;
  std::string subprotocol;
  std::atomic<bool> closing{false};
  std::atomic<std::size_t> posted{0};
  std::atomic<std::size_t> unsent{0};
  [[nodiscard]] std::size_t fullAt() const { return options_.max_buffered_bytes / 4; }

 private:
  void onMessage(std::string_view message, bool is_text) override {
    if (close_sent_) return;
    call([&](WebSocket& ws) {
      if (events_.message) events_.message(ws, message, is_text);
    });
  }
  void onPing(std::string_view payload) override {
    if (close_sent_) return;
    std::string frame;
    wsFrame(frame, WsOpcode::kPong, payload);
    sendFrame(std::move(frame));
  }
  void onPong(std::string_view) override {}
  void onCloseFrame(std::uint16_t code, std::string_view reason) override {
    close_code_ = code;
    close_reason_ = reason;
    startClose(code, {});
    done_ = true;
    if (link_) link_->closeWhenFlushed();
    tellClosed();
  }
  [[nodiscard]] bool done() const override { return done_ || !link_; }

  // The callback may close the socket, which takes the events away while they run.
  template <class F>
  void call(F f) {
    WebSocket self(shared_from_this());
    f(self);
  }
  void sendFrame(std::string&& frame) {
    if (!link_ || close_sent_) return;
    link_->write(frame);
    account();
  }
  void account() {
    const std::size_t n = link_->unsent();
    unsent.store(n, std::memory_order_relaxed);
    if (n >= fullAt()) was_full_ = true;
    if (n > options_.max_buffered_bytes) {
      closing.store(true, std::memory_order_release);
      cutOff();
    }
  }
  void cutOff() {
    // Not from inside a callback of the connection: at the end of what runs now.
    done_ = true;
    shard.loop().post([self = shared_from_this()] {
      if (self->link_) self->link_->closeNow();
      self->shard.turnEnd();
    });
  }
  void fail(std::uint16_t code) {
    close_code_ = code;
    startClose(code, {});
    done_ = true;
    if (link_) link_->closeWhenFlushed();
    tellClosed();
  }
  void tellClosed() {
    closing.store(true, std::memory_order_release);
    WebSocket::Events events = std::move(events_);
    events_ = {};
    if (events.close) events.close(close_code_, close_reason_);
  }

  const WebSocket::Options options_;
  const bool deflate_;

  // Loop thread only.
  WsDecoder decoder_;
  WebSocket::Events events_;
  Connection* link_ = nullptr;
  std::int64_t heard_ms_ = 0;
  std::int64_t close_due_ = 0;
  bool pinged_ = false;
  bool close_sent_ = false;
  bool done_ = false;
  bool was_full_ = false;
  std::uint16_t close_code_ = 1006;
  std::string close_reason_;
};

}  // namespace detail

WsMessage WsMessage::text(std::string_view utf8) {
  return detail::WsSession::prepare(WsOpcode::kText, utf8);
}
WsMessage WsMessage::binary(std::string_view bytes) {
  return detail::WsSession::prepare(WsOpcode::kBinary, bytes);
}

bool WebSocket::wanted(const Request& request) {
  bool found = false;
  for (const Header& h : request.headers) {
    if (iequals(h.name, "upgrade")) {
      forEachMember(h.value, [&](std::string_view m) { found |= iequals(m, "websocket"); });
    }
  }
  return found;
}

bool WebSocket::accept(const Request& request, Reply reply, Events events, Options options) {
  bool upgrade = false;
  for (const Header& h : request.headers) {
    if (iequals(h.name, "connection")) {
      forEachMember(h.value, [&](std::string_view m) { upgrade |= iequals(m, "upgrade"); });
    }
  }
  Response& r = reply.response();
  const std::string accept = wsAccept(request.header("Sec-WebSocket-Key"));
  if (!wanted(request) || !upgrade || request.header("Sec-WebSocket-Version") != "13") {
    r.header("Upgrade", "websocket");
    r.header("Sec-WebSocket-Version", "13");
    reply.send(426, "a WebSocket of version 13 is expected here\n");
    return false;
  }
  if (request.method != Method::kGet || request.minor_version == 0 || accept.empty()) {
    reply.send(400, "malformed WebSocket request\n");
    return false;
  }
  detail::Exchange* e = reply.release();
  Shard& shard = e->shard;
  if (shard.draining() || !e->connection) {
    shard.engine().protocolError(503, "the server is stopping", e->response);
    shard.answered(e);
    return false;
  }
  std::string extensions;
  std::string offered;
  for (const Header& h : request.headers) {
    if (iequals(h.name, "sec-websocket-extensions")) extensions.append(h.value).append(",");
    if (iequals(h.name, "sec-websocket-protocol")) offered.append(h.value).append(",");
  }
  const bool deflate = options.deflate && wsDeflateOffered(extensions);
  std::string chosen;
  for (const std::string& ours : options.subprotocols) {
    forEachMember(offered, [&](std::string_view theirs) {
      if (chosen.empty() && theirs == ours) chosen = ours;
    });
  }
  e->response.status = 101;
  e->response.body.clear();
  r.header("Upgrade", "websocket");
  r.appendHeaderBlock("Connection: Upgrade\r\n");
  r.header("Sec-WebSocket-Accept", accept);
  if (!chosen.empty()) r.header("Sec-WebSocket-Protocol", chosen);
  if (deflate) {
    r.header("Sec-WebSocket-Extensions",
             "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  }
  auto session = std::make_shared<detail::WsSession>(shard, request.connection, std::move(events),
                                                     std::move(options), deflate);
  session->subprotocol = chosen;
  e->protocol = std::move(session);
  shard.answered(e);
  return true;
}

bool WebSocket::send(std::string_view text) {
  return session_->onLoop(text.size(), [copy = std::string(text)](detail::WsSession& s) {
    s.sendPayload(WsOpcode::kText, copy);
  });
}
bool WebSocket::sendBinary(std::string_view bytes) {
  return session_->onLoop(bytes.size(), [copy = std::string(bytes)](detail::WsSession& s) {
    s.sendPayload(WsOpcode::kBinary, copy);
  });
}
bool WebSocket::send(const WsMessage& message) {
  return session_->onLoop(0, [message](detail::WsSession& s) { s.sendMessage(message); });
}
void WebSocket::close(std::uint16_t code, std::string_view reason) {
  session_->onLoop(
      0, [code, copy = std::string(reason)](detail::WsSession& s) { s.startClose(code, copy); });
}
std::size_t WebSocket::buffered() const {
  return session_->posted.load(std::memory_order_relaxed) +
         session_->unsent.load(std::memory_order_relaxed);
}
bool WebSocket::full() const { return buffered() >= session_->fullAt(); }
bool WebSocket::closed() const { return session_->closing.load(std::memory_order_acquire); }
std::uint64_t WebSocket::connection() const { return session_->connection; }
const std::string& WebSocket::subprotocol() const { return session_->subprotocol; }
Reactor& WebSocket::reactor() const { return session_->shard.loop(); }

}  // namespace godwit::http
