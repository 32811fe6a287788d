#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/reactor.h"
#include "godwit/result.h"

namespace godwit::store::postgresql {

// Connection keywords that replace those of a URL.
using Overrides = std::vector<std::pair<std::string, std::string>>;

// Looks host names up on a thread of its own, because libpq would block the loop for it. The
// queue is bounded by the pools, each of which asks once per connection attempt.
class Resolver {
 public:
  Resolver() = default;
  ~Resolver();  // waits for a look-up that is under way
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `done` on home's thread, never from inside. A URL with nothing to look up (sockets,
  // addresses) needs no thread. `home` must outlive this resolver.
  void resolve(const std::string& url, Reactor& home, std::function<void(Result<Overrides>)> done);

 private:
  struct Request {
    std::string url;
    Reactor* home;
    std::function<void(Result<Overrides>)> done;
  };
  void work();

  std::mutex mu_;
  std::condition_variable wake_;
  std::deque<Request> queue_;  // guarded by mu_
  bool stopping_ = false;      // guarded by mu_
  std::thread thread_;         // guarded by mu_
};

}  // namespace godwit::store::postgresql
