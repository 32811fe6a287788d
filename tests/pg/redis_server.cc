#include "redis_server.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace godwit::test {

namespace {
constexpr const char* kServer = "/usr/bin/redis-server";
}

std::string RedisServer::whyNot() {
  return ::access(kServer, X_OK) == 0 ? "" : "redis-server is not installed (tools/install-deps)";
}

RedisServer::RedisServer() : folder_("redis"), port_(freePort()) { start(); }

RedisServer::~RedisServer() {
  if (pid_ > 0) kill();
}

void RedisServer::start() {
  pid_ =
      startProcess({kServer, "--port", std::to_string(port_), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--dir", folder_.path(), "--requirepass", "secret"},
                   "", folder_.path() + "/log");
  for (int i = 0; i < 1000; ++i) {
    redisContext* c = redisConnect("127.0.0.1", port_);
    bool up = c && !c->err;
    if (c) redisFree(c);
    if (up) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("redis-server does not start");
}

void RedisServer::kill() {
  ::kill(pid_, SIGKILL);
  waitFor(pid_);
  pid_ = -1;
}

void RedisServer::pause() { ::kill(pid_, SIGSTOP); }
void RedisServer::resume() { ::kill(pid_, SIGCONT); }

}  // namespace godwit::test
