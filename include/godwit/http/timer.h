#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace godwit::http {

class Server;

// Calls back on a loop of the server, once or again and again. No timer fires once the server
// drains. Create and destroy it on any thread, not after the server. Destroying it cancels; on
// another thread than the loop's, a call that has begun may still be running afterwards.
class Timer {
 public:
  static Timer after(Server& server, std::chrono::milliseconds delay,
                     std::function<void()> callback, std::size_t loop = 0);
  // From call to call, without drift; calls that could not be made in time are skipped.
  static Timer every(Server& server, std::chrono::milliseconds interval,
                     std::function<void()> callback, std::size_t loop = 0);

  Timer() = default;
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&&) noexcept;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }
  void cancel();

 private:
  struct State;
  explicit Timer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace godwit::http
