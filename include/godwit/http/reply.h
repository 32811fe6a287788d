#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "godwit/deadline.h"
#include "godwit/http/body.h"
#include "godwit/http/response.h"

namespace godwit {
class Reactor;
}

namespace godwit::http {

struct Request;

namespace detail {
class Exchange;
}

// The right and duty to answer one request. Move only. A handler may answer at once or keep the
// Reply and answer later. Dropping it unanswered sends 500. Use by one thread at a time; a send()
// off the loop thread is posted to it. When the peer has gone, sending does nothing.
class Reply {
 public:
  explicit Reply(detail::Exchange* exchange);  // the server's; takes over one reference
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&& other) noexcept;
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  ~Reply();

  // The connection's response object, cleared. REQUIRES not sent yet.
  [[nodiscard]] Response& response();
  // Sends response(). After this the Reply is empty and the Request's views are gone.
  void send();
  // Shorthand: text/plain.
  void send(int status, std::string_view text);

  // Sends the status and headers of response() and a body that follows through the writer: of
  // `length` bytes, or as long as it takes (chunked; until the connection ends for HTTP/1.0). The
  // Reply is empty afterwards. Loop thread.
  BodyWriter stream(std::optional<std::uint64_t> length = std::nullopt);
  // Sends the status and headers of response() and `length` bytes of a file from `offset`, by
  // sendfile(2) where possible. Takes the descriptor over. The Reply is empty afterwards.
  void sendFile(int fd, std::uint64_t offset, std::uint64_t length);
  // For requests whose BodyPolicy says stream: `reader` gets the body as it comes, on the loop
  // thread; call within the handler. It may own this Reply: it is let go after kEnd or kAborted.
  void onBody(BodyReader reader);
  // Stops and resumes reading from the client. Loop thread.
  void pauseBody();
  void resumeBody();

  // Names the route for metrics and the access log. `name` must outlive the server's run. Loop
  // thread.
  void setRoute(std::string_view name, bool measured);

  // Handler deadline of this request; the server answers 503 when it passes unanswered.
  [[nodiscard]] Deadline deadline() const;
  // True once the peer is gone or the deadline answered; work for this request can stop. Any
  // thread.
  [[nodiscard]] bool cancelled() const;
  // The loop this request lives on. Outlives the Reply.
  [[nodiscard]] Reactor& reactor() const;
  // False after send().
  explicit operator bool() const { return exchange_ != nullptr; }
  // For protocols that take the connection over (http/websocket.cc). Gives the reference away.
  detail::Exchange* release() { return std::exchange(exchange_, nullptr); }

 private:
  detail::Exchange* exchange_;
};

// Called on the loop thread of the connection. Must not block.
using Handler = std::function<void(const Request&, Reply)>;

}  // namespace godwit::http
