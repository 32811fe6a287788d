// A blocking Redis connection with deadlines on everything (hiredis). One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "godwit/result.h"

struct redisContext;
struct redisReply;

namespace godwit::agent {

struct RedisAddress {
  std::string host = "localhost";  // or the path of a unix socket
  int port = 6379;
  int db = 0;
  std::string username;
  std::string password;
};
RedisAddress redisAddress(const Section& section);

struct RedisReplyDeleter {
  void operator()(redisReply* r) const;
};
using RedisReply = std::unique_ptr<redisReply, RedisReplyDeleter>;

class RedisClient {
 public:
  explicit RedisClient(RedisAddress address) : address_(std::move(address)) {}
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // Connects within 1 s, authenticates, selects. Nothing when connected already.
  Result<> connect();
  void disconnect();
  [[nodiscard]] bool connected() const { return context_ != nullptr; }
  // The descriptor while connected, for those who must shut it down from another thread.
  [[nodiscard]] int fd() const;

  // One command, one answer; an error reply of the server is a Result error too (kInvalid, message
  // as sent). After any other error the connection is closed. `wait`: how long the server may
  // block.
  Result<RedisReply> command(const std::vector<std::string_view>& args,
                             std::chrono::milliseconds wait = std::chrono::milliseconds(0));

  // Queue commands, then read their answers in order; an error reply is returned as it is.
  void append(const std::vector<std::string_view>& args);
  Result<RedisReply> next();

  // From INFO, at connect: 7.0.15 is 70015. 0 when the server does not say.
  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] const std::string& runId() const { return run_id_; }

 private:
  Error broken(std::string_view doing);
  void setTimeout(std::chrono::milliseconds wait);
  void readInfo();

  RedisAddress address_;
  redisContext* context_ = nullptr;
  int version_ = 0;
  std::string run_id_;
};

}  // namespace godwit::agent
