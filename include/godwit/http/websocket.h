#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/http/reply.h"
#include "godwit/http/request.h"

namespace godwit::http {

namespace detail {
class WsSession;
}

// A message made ready once for any number of sockets: framed, and compressed where that was agreed
// on. Any thread.
class WsMessage {
 public:
  static WsMessage text(std::string_view utf8);
  static WsMessage binary(std::string_view bytes);

 private:
  friend class detail::WsSession;
  std::shared_ptr<const std::string> plain_;
  std::shared_ptr<const std::string> deflated_;  // null when not worth it
};

// An open WebSocket (RFC 6455, permessage-deflate of RFC 7692 without context takeover). A handle:
// copies refer to the same socket. Functions may be called from any thread; from one thread, order
// is kept.
class WebSocket {
 public:
  struct Options {
    std::size_t max_message_bytes = 1024 * 1024;       // 1009 beyond, also after inflation
    std::size_t max_buffered_bytes = 4 * 1024 * 1024;  // a slower reader is cut off
    std::chrono::milliseconds ping_interval{30'000};   // of silence; then pong_timeout
    std::chrono::milliseconds pong_timeout{20'000};
    std::chrono::milliseconds close_timeout{5'000};  // for the peer's close frame
    bool deflate = true;
    std::vector<std::string> subprotocols;  // the first that the client offers is chosen
    Options() {}
  };
  // Loop thread. Messages are whole; text is valid UTF-8.
  struct Events {
    std::function<void(WebSocket&)> open;
    std::function<void(WebSocket&, std::string_view message, bool is_text)> message;
    // Exactly once. 1005: no code given, 1006: the connection broke.
    std::function<void(std::uint16_t code, std::string_view reason)> close;
    // After full(): half of the room is free again.
    std::function<void(WebSocket&)> writable;
  };

  WebSocket() = default;
  explicit WebSocket(std::shared_ptr<detail::WsSession> session) : session_(std::move(session)) {}

  // Answers `request` by switching protocols. A request that asks for no WebSocket, or wrongly, is
  // answered 400 or 426, during a drain 503; false then. Loop thread.
  static bool accept(const Request& request, Reply reply, Events events, Options options = {});
  [[nodiscard]] static bool wanted(const Request& request);

  // False when the socket is closed or closing.
  bool send(std::string_view text);  // must be UTF-8
  bool sendBinary(std::string_view bytes);
  bool send(const WsMessage& message);
  // Starts the closing handshake. `reason`: at most 123 bytes.
  void close(std::uint16_t code = 1000, std::string_view reason = {});

  [[nodiscard]] std::size_t buffered() const;
  [[nodiscard]] bool full() const;  // a quarter of max_buffered_bytes waits
  [[nodiscard]] bool closed() const;
  [[nodiscard]] std::uint64_t connection() const;
  [[nodiscard]] const std::string& subprotocol() const;
  [[nodiscard]] Reactor& reactor() const;
  friend bool operator==(const WebSocket&, const WebSocket&) = default;
  explicit operator bool() const { return session_ != nullptr; }

 private:
  std::shared_ptr<detail::WsSession> session_;
};

}  // namespace godwit::http
