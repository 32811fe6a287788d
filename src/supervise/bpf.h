// Classic BPF programs that pick the member of a SO_REUSEPORT group which gets a new connection.
// Attached to one member they rule the whole group; no privilege is needed (socket(7),
// SO_ATTACH_REUSEPORT_CBPF). Pure: programs are built here and attached elsewhere.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace godwit::supervise {

// A source only the supervisor can have: its own or a loopback address and a port it has bound.
// Connections from it go to `slot`.
struct Steer {
  bool v6 = false;
  std::array<std::uint8_t, 16> address{};  // network order; IPv4 uses the first four
  std::uint16_t port = 0;                  // host order
  std::uint32_t slot = 0;
};

struct Plan {
  std::uint32_t active = 0;          // where the public goes
  std::uint32_t canary = 0;          // where `canary_percent` of the public goes instead
  std::uint32_t canary_percent = 0;  // 0 = no canary, at most 100
  std::vector<Steer> steers;         // at most kMaxSteers, first match wins
};
inline constexpr std::size_t kMaxSteers = 4;

// Never empty. Packets a steer cannot read (IPv4 options, IPv6 extension headers) count as public.
std::vector<sock_filter> buildProgram(const Plan& plan);

// Runs `program` over a packet that starts at its network header, as the kernel would; for tests
// and for the self-check of a new binary. nullopt when the program is malformed or reads outside.
std::optional<std::uint32_t> runProgram(const std::vector<sock_filter>& program,
                                        const std::vector<std::uint8_t>& packet,
                                        std::uint32_t random);

}  // namespace godwit::supervise
