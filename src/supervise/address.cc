#include "supervise/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

#include "base/os_error.h"
#include "supervise/file_text.h"
#include "supervise/units.h"

namespace godwit::supervise {
namespace {

bool parseNumeric(const std::string& host, Address& out) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    out.length = sizeof *v4;
    return true;
  }
  if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    out.length = sizeof *v6;
    return true;
  }
  return false;
}

bool eachLineOf(const char* path, const std::function<bool(std::string_view)>& line) {
  auto text = readText(path);
  return text.ok() && eachLine(*text, line);
}

std::vector<std::string_view> fields(std::string_view line, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    std::size_t at = line.find(separator);
    out.push_back(line.substr(0, at));
    if (at == std::string_view::npos) return out;
    line.remove_prefix(at + 1);
  }
}

bool lookUpHost(const std::string& name, Address& out) {
  if (eachLineOf("/etc/hosts", [&](std::string_view l) {
        l = l.substr(0, l.find('#'));
        std::string_view address;
        while (!l.empty()) {
          std::size_t start = l.find_first_not_of(" \t");
          if (start == std::string_view::npos) return false;
          l.remove_prefix(start);
          std::string_view word = l.substr(0, l.find_first_of(" \t"));
          l.remove_prefix(word.size());
          if (address.empty()) {
            address = word;
          } else if (word == name) {
            return parseNumeric(std::string(address), out);
          }
        }
        return false;
      })) {
    return true;
  }
  return name == "localhost" && parseNumeric("127.0.0.1", out);
}

}  // namespace

bool Address::wildcard() const {
  if (family() == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr == htonl(INADDR_ANY);
  }
  return family() == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

bool Address::loopback() const {
  if (family() == AF_INET) {
    auto a = ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr);
    return a >> 24 == 127;
  }
  return family() == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

std::uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return 0;
}

void Address::setPort(std::uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
}

Address Address::dialable() const {
  if (!wildcard()) return *this;
  Address out;
  parseNumeric(family() == AF_INET6 ? "::1" : "127.0.0.1", out);
  out.setPort(port());
  return out;
}

Result<Address> inetAddress(const std::string& host, std::uint16_t port) {
  Address out;
  std::string h = host.empty() || host == "*" ? "0.0.0.0" : host;
  if (!parseNumeric(h, out) && !lookUpHost(h, out)) {
    return Error(ErrorCode::kInvalid,
                 "cannot find the address of " + h + ": neither numeric nor in /etc/hosts");
  }
  out.setPort(port);
  return out;
}

Result<Address> inetAddress(std::string_view host_port) {
  std::string host = "127.0.0.1";
  std::string_view port = host_port;
  if (std::size_t colon = host_port.rfind(':'); colon != std::string_view::npos) {
    host = host_port.substr(0, colon);
    port = host_port.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    if (host.empty()) host = "127.0.0.1";
  }
  auto n = parseInt(port, 1, 65535);
  if (!n) return Error(ErrorCode::kInvalid, "bad port in " + std::string(host_port));
  return inetAddress(host, static_cast<std::uint16_t>(*n));
}

Result<Address> unixAddress(std::string_view path) {
  Address out;
  auto* u = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (path.empty() || path.size() >= sizeof u->sun_path) {
    return Error(ErrorCode::kInvalid, "socket path too long: " + std::string(path));
  }
  u->sun_family = AF_UNIX;
  std::memcpy(u->sun_path, path.data(), path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

Result<Address> abstractAddress(std::string_view name) {
  Address out;
  auto* u = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (name.empty() || name.size() + 1 > sizeof u->sun_path) {
    return Error(ErrorCode::kInvalid, "abstract name too long: " + std::string(name));
  }
  u->sun_family = AF_UNIX;
  std::memcpy(u->sun_path + 1, name.data(), name.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return out;
}

Result<Address> localAddressOf(int fd) {
  Address out;
  out.length = sizeof out.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.length) != 0) {
    return osError("read a socket's address");
  }
  return out;
}

Result<UserEntry> findUser(const std::string& name) {
  UserEntry out;
  auto number = parseInt(name, 0, 0xfffffffe);
  bool found = eachLineOf("/etc/passwd", [&](std::string_view l) {
    auto f = fields(l, ':');
    if (f.size() < 6) return false;
    auto uid = parseInt(f[2], 0, 0xfffffffe);
    auto gid = parseInt(f[3], 0, 0xfffffffe);
    if (!uid || !gid || (f[0] != name && uid != number)) return false;
    out = {static_cast<unsigned>(*uid), static_cast<unsigned>(*gid), std::string(f[0]),
           std::string(f[5])};
    return true;
  });
  if (found) return out;
  if (!number) return Error(ErrorCode::kNotFound, "no user " + name);
  out.uid = static_cast<unsigned>(*number);
  out.gid = out.uid;
  return out;
}

Result<unsigned> findGroup(const std::string& name) {
  unsigned gid = 0;
  bool found = eachLineOf("/etc/group", [&](std::string_view l) {
    auto f = fields(l, ':');
    if (f.size() < 3 || f[0] != name) return false;
    auto n = parseInt(f[2], 0, 0xfffffffe);
    if (n) gid = static_cast<unsigned>(*n);
    return n.has_value();
  });
  if (found) return gid;
  if (auto n = parseInt(name, 0, 0xfffffffe)) return static_cast<unsigned>(*n);
  return Error(ErrorCode::kNotFound, "no group " + name);
}

std::vector<unsigned> groupsOf(const std::string& user) {
  std::vector<unsigned> out;
  eachLineOf("/etc/group", [&](std::string_view l) {
    auto f = fields(l, ':');
    if (f.size() < 4) return false;
    auto gid = parseInt(f[2], 0, 0xfffffffe);
    for (std::string_view member : fields(f[3], ',')) {
      if (member == user && gid && out.size() < 256) out.push_back(static_cast<unsigned>(*gid));
    }
    return false;
  });
  return out;
}

}  // namespace godwit::supervise
