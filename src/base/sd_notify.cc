#include "base/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"

namespace godwit {

bool sdNotify(std::string_view state) {
  const char* path = std::getenv(
      "NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): set by our parent, never by us
  if (!path || (path[0] != '/' && path[0] != '@')) return false;
  sockaddr_un addr{};
  std::size_t len = std::strlen(path);
  if (len >= sizeof addr.sun_path) return false;
  addr.sun_family = AF_UNIX;
  std::memcpy(addr.sun_path, path, len);
  if (path[0] == '@') addr.sun_path[0] = '\0';
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return false;
  auto addr_len = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + len);
  return ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                  reinterpret_cast<sockaddr*>(&addr),
                  addr_len) == static_cast<ssize_t>(state.size());
}

}  // namespace godwit
