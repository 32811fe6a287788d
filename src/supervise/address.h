#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"

namespace godwit::supervise {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] bool wildcard() const;
  [[nodiscard]] bool loopback() const;
  [[nodiscard]] std::uint16_t port() const;
  void setPort(std::uint16_t port);
  // The address a local client can dial: loopback for a wildcard, else itself.
  [[nodiscard]] Address dialable() const;
};

// A numeric address, or a name of /etc/hosts ("localhost" always works). Resolvers are not asked:
// a static binary cannot load them, and a supervisor should not wait for one. "" = every IPv4.
Result<Address> inetAddress(const std::string& host, std::uint16_t port);
// "host:port", "[v6]:port" or a bare port on loopback.
Result<Address> inetAddress(std::string_view host_port);
Result<Address> unixAddress(std::string_view path);      // a path
Result<Address> abstractAddress(std::string_view name);  // without the '@'
Result<Address> localAddressOf(int fd);                  // getsockname

// From /etc/passwd and /etc/group, or numeric.
struct UserEntry {
  unsigned uid = 0;
  unsigned gid = 0;
  std::string name;  // "" when numeric and not listed
  std::string home;
};
Result<UserEntry> findUser(const std::string& name);
Result<unsigned> findGroup(const std::string& name);
std::vector<unsigned> groupsOf(const std::string& user);  // supplementary ones

}  // namespace godwit::supervise
