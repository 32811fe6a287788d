#include "store/redis/pusher.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace godwit::store::redis {
namespace {

struct FreeReply {
  void operator()(redisReply* r) const { freeReplyObject(r); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

// Never zero, which hiredis takes for "no limit".
timeval timeLeft(Deadline deadline) {
  auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline.remaining());
  left = std::clamp<std::chrono::microseconds>(left, std::chrono::milliseconds(1),
                                               std::chrono::hours(1));
  timeval t{};
  t.tv_sec = left.count() / 1'000'000;
  t.tv_usec = left.count() % 1'000'000;
  return t;
}

Reply command(redisContext* context, const std::vector<std::string_view>& words) {
  std::vector<const char*> argv;
  std::vector<std::size_t> sizes;
  argv.reserve(words.size());
  sizes.reserve(words.size());
  for (std::string_view word : words) {
    argv.push_back(word.data());
    sizes.push_back(word.size());
  }
  void* reply = redisCommandArgv(context, static_cast<int>(argv.size()), argv.data(), sizes.data());
  return Reply(static_cast<redisReply*>(reply));
}

Error refusal(const redisReply& reply) {
  std::string why(reply.str, reply.len);
  // What passes by itself.
  for (const char* later : {"LOADING", "BUSY", "OOM", "READONLY", "MASTERDOWN", "TRYAGAIN"}) {
    if (why.starts_with(later)) return Error(ErrorCode::kUnavailable, why);
  }
  return Error(ErrorCode::kInvalid, why);
}

}  // namespace

Pusher::Pusher(Options options) : options_(std::move(options)) {}
Pusher::~Pusher() { close(); }

void Pusher::cancel() {
  std::lock_guard lock(mu_);
  cancelled_ = true;
  if (context_) ::shutdown(context_->fd, SHUT_RDWR);
}

void Pusher::close() {
  std::lock_guard lock(mu_);
  if (context_) redisFree(context_);
  context_ = nullptr;
}

Result<void> Pusher::setUp() {
  auto ask = [this](const std::vector<std::string_view>& words) -> Result<void> {
    Reply reply = command(context_, words);
    if (!reply) return Error(ErrorCode::kUnavailable, context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) return refusal(*reply);
    return {};
  };
  if (!options_.password.empty() && !options_.user.empty()) {
    GODWIT_TRY(ask({"AUTH", options_.user, options_.password}));
  } else if (!options_.password.empty()) {
    GODWIT_TRY(ask({"AUTH", options_.password}));
  }
  if (options_.database == 0) return {};
  return ask({"SELECT", std::to_string(options_.database)});
}

Result<void> Pusher::connect(Deadline deadline) {
  timeval wait = timeLeft(deadline);
  redisContext* made = options_.socket.empty()
                           ? redisConnectWithTimeout(options_.host.c_str(), options_.port, wait)
                           : redisConnectUnixWithTimeout(options_.socket.c_str(), wait);
  if (!made) return Error(ErrorCode::kUnavailable, "no memory for a connection");
  {
    std::lock_guard lock(mu_);
    context_ = made;
  }
  if (made->err != 0) return Error(ErrorCode::kUnavailable, made->errstr);
  redisSetTimeout(made, timeLeft(deadline));
  return setUp();
}

Result<void> Pusher::push(const std::string& list, std::span<const std::string> values,
                          Deadline deadline) {
  {
    std::lock_guard lock(mu_);
    if (cancelled_) return Error(ErrorCode::kClosed, "stopped");
  }
  if (!context_) {
    auto connected = connect(deadline);
    if (!connected.ok()) {
      close();
      return connected;
    }
  }
  redisSetTimeout(context_, timeLeft(deadline));
  std::vector<std::string_view> words = {"LPUSH", list};
  words.insert(words.end(), values.begin(), values.end());
  Reply reply = command(context_, words);
  if (!reply) {
    Error lost(ErrorCode::kUnavailable, context_->errstr);
    close();
    return lost;
  }
  if (reply->type != REDIS_REPLY_ERROR) return {};
  // Another server may stand behind the address by the next attempt.
  Error refused = refusal(*reply);
  close();
  return refused;
}

}  // namespace godwit::store::redis
