#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/http/server.h"

// Real sockets against a real server in this process.
namespace godwit::http::test {

struct Answer {
  int status = 0;  // 0: the connection ended instead
  std::string head;
  std::string body;
  [[nodiscard]] std::string header(std::string_view name) const;
};

// A blocking client that trusts nothing: bytes out, bytes in. Every wait ends after 20 s.
class Client {
 public:
  explicit Client(const std::string& url, int receive_buffer = 0);
  [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void send(std::string_view bytes);  // errors are left for the reading side to notice
  void halfClose();
  void reset();  // closes with RST
  void close() { fd_.reset(); }
  // One response. `head_only` for answers to HEAD. Interim responses are returned like others.
  Answer read(bool head_only = false);
  Answer get(std::string_view target);
  // Everything until the peer closes (or 20 s pass: "<timeout>" is appended).
  std::string readAll();
  // True when the peer has closed or reset without sending anything more.
  bool closedByPeer();
  [[nodiscard]] bool ended() const { return ended_; }
  // Bytes that arrive within `ms`, or until the peer closes.
  std::string readFor(int ms);

 private:
  bool fill();
  UniqueFd fd_;
  std::string in_;
  bool ended_ = false;
};

class TestServer {
 public:
  explicit TestServer(Handler handler, Server::Options options = defaults(),
                      const std::function<void(Server&)>& setup = {},
                      const std::string& url = "http://127.0.0.1:0");
  ~TestServer();
  static Server::Options defaults();  // one loop, no signals
  [[nodiscard]] std::string url() const { return url_; }
  Server& operator*() { return *server_; }
  Server* operator->() { return server_.get(); }
  // Drains and waits; the report.
  DrainReport drain(std::chrono::milliseconds deadline = std::chrono::seconds(10));
  // Waits for run() to return.
  DrainReport join();

 private:
  std::unique_ptr<Server> server_;
  std::string url_;
  std::thread thread_;
  DrainReport report_;
};

// Waits until `condition` holds, 20 s at most.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(20));
std::string tempDir();

}  // namespace godwit::http::test
