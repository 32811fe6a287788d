#pragma once

#include <chrono>
#include <coroutine>
#include <memory>

#include "base/reactor.h"

namespace godwit::store::postgresql {

// Waits for a timer of the loop: name one, then co_await it.
class Pause {
 public:
  Pause(Reactor& loop, std::chrono::milliseconds d) : loop_(loop), d_(d) {}
  bool await_ready() const { return d_.count() <= 0; }
  void await_suspend(std::coroutine_handle<> h) {
    // Resumed by a post: the awaiter, and this timer with it, goes when the coroutine goes on.
    timer_ =
        loop_.timer(Deadline::after(d_), [h, loop = &loop_] { loop->post([h] { h.resume(); }); });
  }
  void await_resume() const {}

 private:
  Reactor& loop_;
  std::chrono::milliseconds d_;
  std::unique_ptr<Reactor::Handle> timer_;
};

}  // namespace godwit::store::postgresql
