#pragma once

#include <mutex>
#include <span>
#include <string>

#include "godwit/deadline.h"
#include "godwit/result.h"
#include "store/redis/options.h"

struct redisContext;

namespace godwit::store::redis {

// One connection for a thread that may wait, made when needed. One thread, but for cancel().
class Pusher {
 public:
  explicit Pusher(Options options);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  // LPUSHes the values in order, in one command. kUnavailable: try again, maybe they arrived;
  // kInvalid: the server refuses (no list, no right); kClosed after cancel(). The deadline holds
  // for connecting and for the answer, but not for the resolver of names.
  Result<void> push(const std::string& list, std::span<const std::string> values,
                    Deadline deadline);
  // Any thread. Ends what is under way.
  void cancel();

 private:
  Result<void> connect(Deadline deadline);
  Result<void> setUp();
  void close();

  const Options options_;
  std::mutex mu_;
  redisContext* context_ = nullptr;  // changed under mu_, by the pushing thread
  bool cancelled_ = false;           // guarded by mu_
};

}  // namespace godwit::store::redis
