#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "godwit/deadline.h"
#include "godwit/http/reply.h"
#include "godwit/job.h"

namespace godwit::http {

class Server;

// Threads for handlers that block. The queue is bounded: what does not fit is answered 503, never
// kept. When the server has drained, the pool stops with it, before onStopped: requests were all
// answered by then, other jobs run until the drain deadline and are dropped after it. Any thread.
class Workers {
 public:
  Workers(Server& server, std::size_t threads, std::size_t bound);
  ~Workers();  // not before the server's run has ended
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs `work` on a thread of the pool. When the queue is full or the pool stops, answers 503 with
  // Retry-After and returns false. A request whose client has gone or whose deadline has passed
  // while it waited is not worked on.
  bool run(Reply reply, std::function<void(Reply)> work);
  // The same for work that answers no request; false when it was not taken.
  [[nodiscard]] bool submit(Job job);
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] std::uint64_t refused() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace godwit::http
