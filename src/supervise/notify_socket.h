#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/loop.h"

namespace godwit::supervise {

// $NOTIFY_SOCKET for the children, sd_notify(3). Datagrams carry their sender's pid, which the
// receiver checks; descriptors passed with them (BARRIER=1) are closed, which is the answer.
class NotifySocket {
 public:
  using Message = std::map<std::string, std::string, std::less<>>;
  using Handler = std::function<void(pid_t sender, const Message& message)>;

  NotifySocket(EventLoop& loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  Result<> open(const std::string& path, uid_t owner, gid_t group);
  Result<> adopt(UniqueFd fd, const std::string& path);
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void receiveAll();

 private:
  EventLoop& loop_;
  Handler handler_;
  UniqueFd fd_;
  std::string path_;
};

NotifySocket::Message parseNotify(std::string_view text);

}  // namespace godwit::supervise
