#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

namespace godwit {
class Reactor;
}

namespace godwit::http {

namespace detail {
class BodyState;
}

// A response body that is produced over time; from Reply::stream(). A handle: copies refer to the
// same body. Functions may be called from any thread unless said otherwise; from one thread, order
// is kept. When the last copy goes without end(), the body is aborted, so that the client notices.
class BodyWriter {
 public:
  BodyWriter() = default;
  explicit BodyWriter(std::shared_ptr<detail::BodyState> state);

  // Queues bytes for sending. False when nobody will receive them: the peer is gone, the body has
  // ended. A writer that ignores full() and gets 16 times beyond the limit is aborted.
  bool write(std::string_view bytes);
  void end();
  // Cuts the connection: the client sees an incomplete body.
  void abort();

  // Bytes that the kernel has not taken yet.
  [[nodiscard]] std::size_t buffered() const;
  // True when buffered() has reached Limits::max_output_bytes: stop until onWritable.
  [[nodiscard]] bool full() const;
  [[nodiscard]] bool closed() const;
  // Called when, after having been full, half of the room is free again. Loop thread; set it there.
  void onWritable(std::function<void()> callback);
  // Called once when the body cannot be sent any further: the peer has gone. Loop thread; set it
  // there. Not called after end() has been delivered.
  void onClosed(std::function<void()> callback);
  // Called when the server begins to drain, for bodies without an end of their own. Loop thread;
  // set it there.
  void onDrain(std::function<void()> callback);
  [[nodiscard]] Reactor& reactor() const;
  explicit operator bool() const { return state_ != nullptr; }

 private:
  std::shared_ptr<detail::BodyState> state_;
};

// What a streamed request body tells its reader.
enum class BodyEvent {
  kData,     // bytes; valid during the call
  kEnd,      // complete
  kAborted,  // the client has gone or broke the framing; nothing follows
};
using BodyReader = std::function<void(BodyEvent, std::string_view)>;

// How the body of a request is to be read, decided when its head has arrived.
struct BodyPolicy {
  bool stream = false;        // hand the request over at once; the body follows through onBody
  std::size_t max_bytes = 0;  // 0: Limits::max_body_bytes
};

}  // namespace godwit::http
