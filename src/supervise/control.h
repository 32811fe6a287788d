#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/json.h"
#include "supervise/loop.h"

namespace godwit::supervise {

// The control socket: one JSON object per line in, one or more out. Only root and our own user may
// speak. Slow clients are cut off, never waited for.
class Control {
 public:
  static constexpr std::size_t kMaxClients = 64;
  static constexpr std::size_t kMaxRequest = 4096;
  static constexpr std::size_t kMaxUnsent = 1 << 20;

  using ClientId = int;
  // Answers by reply(); now or later, once or often.
  using Handler = std::function<void(ClientId, const JsonValue& request)>;
  using Gone = std::function<void(ClientId)>;

  Control(EventLoop& loop, Handler handler, Gone gone);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // The path must be free or stale: the caller holds its lock.
  Result<> open(const std::string& path);
  Result<> adopt(UniqueFd fd, const std::string& path);
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  void close();

  // `line` without a newline. False when the client is gone.
  bool reply(ClientId client, std::string_view line);
  void finish(ClientId client);  // close when all is sent

 private:
  struct Client {
    UniqueFd fd;
    std::string in;
    std::string out;
    bool closing = false;
  };
  void accept();
  void onClient(ClientId id, std::uint32_t events);
  void readFrom(ClientId id);
  bool flush(ClientId id);
  void drop(ClientId id);

  EventLoop& loop_;
  Handler handler_;
  Gone gone_;
  UniqueFd fd_;
  std::string path_;
  std::map<ClientId, Client> clients_;
  ClientId next_ = 0;
};

}  // namespace godwit::supervise
