// Stream sockets: accepting, reading, writing, limits. What the bytes mean is decided by the
// connections. Loop thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/loop.h"
#include "agent/sockets.h"
#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::agent {

// One peer. The listener owns it, appends to `in` and sends `out`.
class StreamConnection {
 public:
  virtual ~StreamConnection() = default;
  // Takes what is whole from the front of `in`, puts answers into `out`. Stops when canAnswer() is
  // false: it is called again when the peer has read.
  virtual void serve() = 0;
  // The peer has closed; what is left in `in` will not become whole.
  virtual void ended() {}

 protected:
  static constexpr std::size_t kMaxUnsent = 16u << 20;
  [[nodiscard]] bool canAnswer() const { return !closing && out.size() < kMaxUnsent; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  std::string in;
  std::string out;
  bool closing = false;  // after `out` is sent

 private:
  friend class StreamListener;
  UniqueFd fd_;
  Loop::Clock::time_point last_;
};

struct StreamOptions {
  std::string name;  // in log lines: "<name>.listening"
  std::size_t max_connections = 1024;
  std::string full_answer;           // sent to whom there is no room for
  std::chrono::nanoseconds idle{0};  // a silent connection is closed after this; 0: never
};

class StreamListener {
 public:
  // Gets the accepted descriptor to ask it who the peer is.
  using Make = std::function<std::unique_ptr<StreamConnection>(int fd)>;

  explicit StreamListener(Loop& loop) : loop_(loop) {}
  ~StreamListener();
  StreamListener(const StreamListener&) = delete;
  StreamListener& operator=(const StreamListener&) = delete;

  void configure(StreamOptions options);
  Result<> listen(const std::string& address, InheritedSockets& inherited, Make make);
  // No new connections; the open ones stay.
  void stopAccepting();
  // Reads what the kernel holds for the open connections (bounded) as if it came now, then closes.
  void readRest();
  void close();

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }  // for want of room

 private:
  struct Listening {
    UniqueFd fd;
    bool inherited;
    std::string path;
  };
  void accept(int listening, const Make& make);
  void onEvent(int fd, std::uint32_t events);
  bool read(StreamConnection& c);
  bool flush(StreamConnection& c);
  void drop(int fd);
  void sweep();

  Loop& loop_;
  StreamOptions options_;
  Loop::TimerId sweeper_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
  std::vector<Listening> listening_;
  std::unordered_map<int, std::unique_ptr<StreamConnection>> connections_;
};

}  // namespace godwit::agent
