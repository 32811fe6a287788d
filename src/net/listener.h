#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::net {

// Where to listen: "http://host:port", "https://host:port" or "unix:/path" ("unix+tls:/path").
struct Endpoint {
  bool unix_socket = false;
  bool tls = false;
  std::string host;  // without brackets; numeric or a name that resolves locally
  unsigned short port = 0;
  std::string path;  // unix only; a leading '@' means the abstract name space

  static Result<Endpoint> parse(std::string_view url);
};

// A listening socket. Move only; destroying it closes it and unlinks a unix socket file that it
// created and that is still the same file.
class Listener {
 public:
  struct Options {
    bool reuse_port = false;
    int backlog = 1024;
    unsigned unix_mode = 0;  // permissions of a unix socket file; 0: as the umask says
    Options() {}
  };

  // A stale unix socket file (nobody answers) is replaced, a live one is an error.
  static Result<Listener> bind(const Endpoint& where, const Options& options = {});
  // Takes over a descriptor made by a service manager.
  static Result<Listener> adopt(UniqueFd fd, bool tls);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] bool tls() const { return tls_; }
  [[nodiscard]] bool isUnix() const { return unix_; }
  [[nodiscard]] bool inherited() const { return inherited_; }

  // From here on the kernel starts no new handshake on this socket, while those under way complete
  // and can be accepted: closing afterwards resets nobody. Nothing is done to a socket that other
  // processes share (inherited). False when the kernel has no such means.
  bool refuseNew();
  void close();

 private:
  Listener() = default;

  UniqueFd fd_;
  std::string url_;
  std::string path_;  // unix file to unlink
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool tls_ = false;
  bool unix_ = false;
  bool inherited_ = false;
};

// The descriptors passed by LISTEN_FDS to this process (sd_listen_fds(3)), close-on-exec set; the
// variables are removed so that children do not take them for theirs. Names from LISTEN_FDNAMES.
struct InheritedFd {
  int fd;
  std::string name;
};
std::vector<InheritedFd> takeInheritedFds();

// "127.0.0.1", "2001:db8::1" or "" for anything else.
std::string addressText(const sockaddr_storage& address);

}  // namespace godwit::net
