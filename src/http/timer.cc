#include "godwit/http/timer.h"

#include <atomic>

#include "base/reactor.h"
#include "godwit/http/server.h"

namespace godwit::http {

struct Timer::State : std::enable_shared_from_this<State> {
  using Clock = std::chrono::steady_clock;
  Server& server;
  Reactor& loop;
  std::function<void()> callback;
  const std::chrono::milliseconds interval;
  const bool repeat;
  std::atomic<bool> cancelled{false};
  // Loop thread only.
  Clock::time_point due;
  std::unique_ptr<Reactor::Handle> handle;

  State(Server& s, std::size_t index, std::chrono::milliseconds d, std::function<void()> f, bool r)
      : server(s),
        loop(s.reactor(index)),
        callback(std::move(f)),
        interval(d),
        repeat(r),
        due(Clock::now() + d) {}

  void arm() {
    if (cancelled.load(std::memory_order_acquire)) return;
    handle = loop.timer(Deadline::at(due), [s = weak_from_this()] {
      if (auto self = s.lock()) self->fire();
    });
  }
  void fire() {
    if (cancelled.load(std::memory_order_acquire) || server.draining()) return;
    std::function<void()> f = callback;  // the callback may destroy the timer
    auto self = shared_from_this();
    f();
    if (!repeat) return;
    const auto now = Clock::now();
    due += interval;
    if (due < now && interval.count() > 0) due += (now - due) / interval * interval + interval;
    arm();
  }
};

namespace {
template <class State>
void start(const std::shared_ptr<State>& s) {
  // Armed on its loop, whoever makes it.
  s->loop.post([s] { s->arm(); });
}
}  // namespace

Timer Timer::after(Server& server, std::chrono::milliseconds delay, std::function<void()> callback,
                   std::size_t loop) {
  auto s = std::make_shared<State>(server, loop, delay, std::move(callback), false);
  start(s);
  return Timer(std::move(s));
}

Timer Timer::every(Server& server, std::chrono::milliseconds interval,
                   std::function<void()> callback, std::size_t loop) {
  auto at_least = std::max(interval, std::chrono::milliseconds(1));
  auto s = std::make_shared<State>(server, loop, at_least, std::move(callback), true);
  start(s);
  return Timer(std::move(s));
}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

void Timer::cancel() {
  if (!state_) return;
  state_->cancelled.store(true, std::memory_order_release);
  Reactor& loop = state_->loop;
  if (loop.onThread()) {
    state_->handle.reset();
    state_.reset();
  } else {
    loop.post([s = std::move(state_)] { s->handle.reset(); });
    state_.reset();
  }
}

}  // namespace godwit::http
