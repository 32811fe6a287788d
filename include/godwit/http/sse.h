#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "godwit/http/reply.h"
#include "godwit/http/request.h"

namespace godwit::http {

// A stream of server-sent events (the WHATWG's text/event-stream). A handle: copies refer to the
// same stream; when the last one goes, the stream ends. Functions may be called from any thread
// unless said otherwise.
class EventStream {
 public:
  struct Options {
    std::chrono::milliseconds heartbeat{15'000};  // of silence, then a comment; finds dead peers
    std::chrono::milliseconds retry{2'000};       // told to clients when the server stops
    Options() {}
  };
  struct Event {
    std::string_view data;  // may have lines
    std::string_view name;  // "": message
    std::string_view id;    // "": none
  };

  EventStream() = default;
  // Answers with an event stream that never ends by itself. Drain ends it after a `retry:`. Loop
  // thread.
  static EventStream start(const Request& request, Reply reply, Options options = {});

  // What a client that comes back has seen: Last-Event-ID.
  [[nodiscard]] const std::string& lastEventId() const;
  // False when the client is gone, or so slow that Limits::max_output_bytes wait: the event is
  // dropped then, and it is for the caller to end the stream or go on.
  bool send(const Event& event);
  bool send(std::string_view data) { return send(Event{data, {}, {}}); }
  void end();
  [[nodiscard]] bool closed() const;
  // Loop thread; set it there.
  void onClosed(std::function<void()> callback);
  [[nodiscard]] Reactor& reactor() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace godwit::http
