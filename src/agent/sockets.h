// Listening sockets: opened here, or inherited through LISTEN_FDS (systemd, supervisors), in which
// case the kernel keeps what arrives while the agent restarts. Loop thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"

namespace godwit::agent {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};
// "host:port", "[v6]:port", ":port" (loopback), or a path with a '/' or a leading '@'.
Result<SocketAddress> parseAddress(std::string_view text);
std::string addressText(const SocketAddress& a);

// What LISTEN_FDS passed. Taken once at start; the variables are unset so that children do not see
// them.
class InheritedSockets {
 public:
  static InheritedSockets fromEnvironment();

  // The descriptor bound to this address with this type, if it was passed. Each is given once.
  std::optional<UniqueFd> take(const SocketAddress& address, int type);
  // Addresses nobody asked for: worth a warning.
  [[nodiscard]] std::vector<std::string> unused() const;

 private:
  struct Entry {
    UniqueFd fd;
    int type;
    SocketAddress address;
  };
  std::vector<Entry> entries_;
};

struct OpenSocket {
  UniqueFd fd;
  bool inherited = false;
};
// SOCK_STREAM sockets listen. Unix paths: a stale socket file is removed, a living one is an error.
Result<OpenSocket> openSocket(std::string_view address, int type, InheritedSockets& inherited);

}  // namespace godwit::agent
