#include "agent/redis_client.h"

#include <hiredis/hiredis.h>

#include <charconv>

namespace godwit::agent {
namespace {

constexpr timeval kConnect{1, 0};
constexpr std::chrono::milliseconds kAnswer{2000};

std::string_view infoField(std::string_view info, std::string_view name) {
  std::size_t at = info.find(std::string(name) + ":");
  if (at == std::string_view::npos) return {};
  std::string_view v = info.substr(at + name.size() + 1);
  return v.substr(0, v.find_first_of("\r\n"));
}

}  // namespace

void RedisReplyDeleter::operator()(redisReply* r) const { freeReplyObject(r); }

RedisAddress redisAddress(const Section& s) {
  RedisAddress a;
  a.host = s.text("host");
  a.port = static_cast<int>(s.integer("port"));
  a.db = static_cast<int>(s.integer("db"));
  a.username = s.text("username");
  a.password = s.text("password");
  return a;
}

RedisClient::~RedisClient() { disconnect(); }

void RedisClient::disconnect() {
  if (context_) redisFree(context_);
  context_ = nullptr;
}

int RedisClient::fd() const { return context_ ? context_->fd : -1; }

Error RedisClient::broken(std::string_view doing) {
  std::string why = context_ && context_->err ? context_->errstr : "connection lost";
  disconnect();
  return {ErrorCode::kUnavailable, "cannot " + std::string(doing) + ": " + why};
}

void RedisClient::setTimeout(std::chrono::milliseconds wait) {
  auto ms = (kAnswer + wait).count();
  timeval t{static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
  redisSetTimeout(context_, t);
}

Result<> RedisClient::connect() {
  if (context_) return {};
  bool unix_socket = address_.host.find('/') != std::string::npos;
  context_ = unix_socket ? redisConnectUnixWithTimeout(address_.host.c_str(), kConnect)
                         : redisConnectWithTimeout(address_.host.c_str(), address_.port, kConnect);
  if (!context_ || context_->err) return broken("connect to Redis at " + address_.host);
  setTimeout(std::chrono::milliseconds(0));
  if (!address_.password.empty()) {
    std::vector<std::string_view> auth{"AUTH"};
    if (!address_.username.empty()) auth.push_back(address_.username);
    auth.push_back(address_.password);
    auto r = command(auth);
    if (!r) {
      disconnect();
      return r.error();
    }
  }
  if (address_.db != 0) {
    std::string db = std::to_string(address_.db);
    auto r = command({"SELECT", db});
    if (!r) {
      disconnect();
      return r.error();
    }
  }
  readInfo();
  if (!context_) return {ErrorCode::kUnavailable, "Redis closed the connection"};
  return {};
}

void RedisClient::readInfo() {
  version_ = 0;
  run_id_.clear();
  auto r = command({"INFO", "server"});
  if (!r || (*r)->type != REDIS_REPLY_STRING) return;
  std::string_view info((*r)->str, (*r)->len);
  run_id_ = infoField(info, "run_id");
  std::string_view v = infoField(info, "redis_version");
  int part[3] = {};
  for (int& p : part) {
    auto parsed = std::from_chars(v.data(), v.data() + v.size(), p);
    v.remove_prefix(static_cast<std::size_t>(parsed.ptr - v.data()));
    if (!v.empty() && v.front() == '.') v.remove_prefix(1);
  }
  version_ = part[0] * 10000 + part[1] * 100 + part[2];
}

void RedisClient::append(const std::vector<std::string_view>& args) {
  if (!context_) return;
  std::vector<const char*> argv;
  std::vector<std::size_t> sizes;
  argv.reserve(args.size());
  sizes.reserve(args.size());
  for (auto a : args) {
    argv.push_back(a.data());
    sizes.push_back(a.size());
  }
  redisAppendCommandArgv(context_, static_cast<int>(args.size()), argv.data(), sizes.data());
}

Result<RedisReply> RedisClient::next() {
  if (!context_) return Error(ErrorCode::kUnavailable, "not connected to Redis");
  void* reply = nullptr;
  if (redisGetReply(context_, &reply) != REDIS_OK || !reply) return broken("read from Redis");
  return RedisReply(static_cast<redisReply*>(reply));
}

Result<RedisReply> RedisClient::command(const std::vector<std::string_view>& args,
                                        std::chrono::milliseconds wait) {
  if (!context_) return Error(ErrorCode::kUnavailable, "not connected to Redis");
  if (wait.count() > 0) setTimeout(wait);
  append(args);
  auto r = next();
  if (wait.count() > 0 && context_) setTimeout(std::chrono::milliseconds(0));
  if (r && (*r)->type == REDIS_REPLY_ERROR) {
    return Error(ErrorCode::kInvalid, std::string((*r)->str, (*r)->len));
  }
  return r;
}

}  // namespace godwit::agent
