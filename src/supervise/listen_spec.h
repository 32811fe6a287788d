#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::supervise {

enum class ListenKind : unsigned char { kTcp, kUdp, kUnix, kAbstract, kInherited };
enum class Cutover : unsigned char { kSlots, kShared };

// One --listen: an address and how to make its sockets. Plain data; nothing is opened.
struct ListenSpec {
  std::string name;
  ListenKind kind = ListenKind::kTcp;
  std::string host;  // numeric or a name of /etc/hosts; "" = every IPv4 address
  std::uint16_t port = 0;
  std::string path;  // unix path, abstract name without '@', or the inherited fd's number or name
  int backlog = 4096;
  int mode = 0660;  // of a unix path
  std::string user;
  std::string group;
  bool v6only = false;
  bool nodelay = false;
  int defer_s = 0;
  int fastopen = 0;
  std::optional<std::uint32_t> mark;
  std::string iface;
  bool freebind = false;
  bool nonblock = false;
  std::optional<Cutover> cutover;

  [[nodiscard]] std::string address() const;  // "0.0.0.0:8000", "[::1]:80", "unix:/a", "fd:web"
  // The mode asked for, or the best this kind can do.
  [[nodiscard]] Cutover wantedCutover() const;
  // Same sockets would be made; the name may differ.
  [[nodiscard]] bool sameSocket(const ListenSpec& other) const;
};

// "[NAME=]SPEC[,option...]", SPEC = [tcp:]HOST:PORT | :PORT | PORT | [v6]:PORT | udp:... |
// unix:PATH | unix:@NAME | fd:N | fd:NAME. `index` names a socket that has no name.
Result<ListenSpec> parseListenSpec(std::string_view text, std::size_t index);

}  // namespace godwit::supervise
