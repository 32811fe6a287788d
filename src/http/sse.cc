#include "godwit/http/sse.h"

#include <string>

#include "base/reactor.h"
#include "godwit/http/body.h"

namespace godwit::http {

struct EventStream::State : std::enable_shared_from_this<State> {
  BodyWriter out;
  std::string last_event_id;
  Options options;
  std::function<void()> on_closed;

  // A timer belongs to its loop: it is owned by the body's callbacks, which end there.
  struct Beat {
    std::unique_ptr<Reactor::Handle> timer;
  };
  void arm(const std::shared_ptr<Beat>& beat) {
    if (options.heartbeat.count() <= 0) return;
    beat->timer =
        out.reactor().timer(Deadline::after(options.heartbeat),
                            [state = weak_from_this(), again = std::weak_ptr<Beat>(beat)] {
                              auto s = state.lock();
                              auto b = again.lock();
                              if (s && b && s->out.write(": \n\n")) s->arm(b);
                            });
  }
  // Maybe after the server has gone, which closed the body.
  ~State() {
    if (out && !out.closed()) out.end();
  }
};

namespace {

// One "field: line" per line of `text`; CR, LF and CRLF all end a line there.
void appendField(std::string& out, std::string_view field, std::string_view text) {
  for (;;) {
    std::size_t end = text.find_first_of("\r\n");
    out.append(field).append(": ").append(text.substr(0, end)).append("\n");
    if (end == std::string_view::npos) return;
    end += text.substr(end).starts_with("\r\n") ? 2 : 1;
    text.remove_prefix(end);
  }
}

bool oneLine(std::string_view s) {
  return s.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

EventStream EventStream::start(const Request& request, Reply reply, Options options) {
  Response& r = reply.response();
  r.status = 200;
  r.header("Content-Type", "text/event-stream");
  r.header("Cache-Control", "no-cache");
  r.header("X-Accel-Buffering", "no");  // a proxy must not hold events back
  EventStream stream;
  stream.state_ = std::make_shared<State>();
  State& s = *stream.state_;
  s.options = options;
  s.last_event_id = request.header("Last-Event-ID");
  s.out = reply.stream();
  std::weak_ptr<State> weak = stream.state_;
  auto beat = std::make_shared<State::Beat>();
  s.out.onClosed([weak, beat] {
    auto state = weak.lock();
    if (!state) return;
    if (auto f = std::move(state->on_closed)) f();
  });
  s.out.onDrain([weak] {
    auto state = weak.lock();
    if (!state) return;
    state->out.write("retry: " + std::to_string(state->options.retry.count()) + "\n\n");
    state->out.end();
  });
  s.arm(beat);
  return stream;
}

const std::string& EventStream::lastEventId() const { return state_->last_event_id; }

bool EventStream::send(const Event& event) {
  if (closed() || state_->out.full()) return false;
  std::string text;
  if (!event.id.empty() && oneLine(event.id)) appendField(text, "id", event.id);
  if (!event.name.empty() && oneLine(event.name)) appendField(text, "event", event.name);
  appendField(text, "data", event.data);
  text += '\n';
  return state_->out.write(text);
}

void EventStream::end() {
  if (!closed()) state_->out.end();
}
bool EventStream::closed() const { return !state_ || state_->out.closed(); }
void EventStream::onClosed(std::function<void()> f) { state_->on_closed = std::move(f); }
Reactor& EventStream::reactor() const { return state_->out.reactor(); }

}  // namespace godwit::http
