#pragma once

#include <memory>
#include <string>

#include "cluster.h"

namespace godwit::test {

// A private Redis server on a free port, without persistence.
class RedisServer {
 public:
  RedisServer();
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  static std::string whyNot();
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url() const {
    return "redis://:secret@127.0.0.1:" + std::to_string(port_) + "/2";
  }
  void start();
  void kill();
  void pause();
  void resume();

 private:
  TempFolder folder_;
  const int port_;
  pid_t pid_ = -1;
};

}  // namespace godwit::test
