#include "supervise/bpf.h"

#include <algorithm>

namespace godwit::supervise {
namespace {

constexpr auto kNet = static_cast<std::uint32_t>(SKF_NET_OFF);
constexpr auto kRandom = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM);

sock_filter stmt(unsigned code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}

class Builder {
 public:
  void add(unsigned code, std::uint32_t k) { out_.push_back(stmt(code, k)); }
  // Goes on if A == k, else to the end of the current rule.
  void requireEqual(std::uint32_t k) {
    misses_.push_back(out_.size());
    out_.push_back(stmt(BPF_JMP | BPF_JEQ | BPF_K, k));
  }
  void endRule() {
    for (std::size_t i : misses_) out_[i].jf = static_cast<std::uint8_t>(out_.size() - i - 1);
    misses_.clear();
  }
  std::vector<sock_filter> take() { return std::move(out_); }

 private:
  std::vector<sock_filter> out_;
  std::vector<std::size_t> misses_;
};

std::uint32_t word(const std::array<std::uint8_t, 16>& a, std::size_t i) {
  return std::uint32_t{a[i]} << 24 | std::uint32_t{a[i + 1]} << 16 | std::uint32_t{a[i + 2]} << 8 |
         a[i + 3];
}

void addSteer(Builder& b, const Steer& s) {
  if (s.v6) {
    b.add(BPF_LD | BPF_B | BPF_ABS, kNet);
    b.add(BPF_ALU | BPF_AND | BPF_K, 0xf0);
    b.requireEqual(0x60);
    b.add(BPF_LD | BPF_B | BPF_ABS, kNet + 6);  // next header: TCP and nothing between
    b.requireEqual(6);
    b.add(BPF_LD | BPF_H | BPF_ABS, kNet + 40);
    b.requireEqual(s.port);
    for (std::uint32_t i = 0; i < 16; i += 4) {
      b.add(BPF_LD | BPF_W | BPF_ABS, kNet + 8 + i);
      b.requireEqual(word(s.address, i));
    }
  } else {
    b.add(BPF_LD | BPF_B | BPF_ABS, kNet);  // version 4, five words of header: no options
    b.requireEqual(0x45);
    b.add(BPF_LD | BPF_H | BPF_ABS, kNet + 20);
    b.requireEqual(s.port);
    b.add(BPF_LD | BPF_W | BPF_ABS, kNet + 12);
    b.requireEqual(word(s.address, 0));
  }
  b.add(BPF_RET | BPF_K, s.slot);
  b.endRule();
}

}  // namespace

std::vector<sock_filter> buildProgram(const Plan& plan) {
  Builder b;
  std::size_t n = std::min(plan.steers.size(), kMaxSteers);
  for (std::size_t i = 0; i < n; ++i) addSteer(b, plan.steers[i]);
  if (plan.canary_percent > 0) {
    b.add(BPF_LD | BPF_W | BPF_ABS, kRandom);
    b.add(BPF_ALU | BPF_MOD | BPF_K, 100);
    // Below the share: the canary. At or above it: on to the active slot.
    std::vector<sock_filter> out = b.take();
    out.push_back({BPF_JMP | BPF_JGE | BPF_K, 1, 0, std::min(plan.canary_percent, 100U)});
    out.push_back(stmt(BPF_RET | BPF_K, plan.canary));
    out.push_back(stmt(BPF_RET | BPF_K, plan.active));
    return out;
  }
  b.add(BPF_RET | BPF_K, plan.active);
  return b.take();
}

std::optional<std::uint32_t> runProgram(const std::vector<sock_filter>& program,
                                        const std::vector<std::uint8_t>& packet,
                                        std::uint32_t random) {
  std::uint32_t a = 0;
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& f = program[pc];
    std::uint32_t size = 0;
    switch (f.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (f.k == kRandom) {
          a = random;
          continue;
        }
        size = 4;
        break;
      case BPF_LD | BPF_H | BPF_ABS:
        size = 2;
        break;
      case BPF_LD | BPF_B | BPF_ABS:
        size = 1;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= f.k;
        continue;
      case BPF_ALU | BPF_MOD | BPF_K:
        if (f.k == 0) return std::nullopt;
        a %= f.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == f.k ? f.jt : f.jf;
        continue;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += a >= f.k ? f.jt : f.jf;
        continue;
      case BPF_RET | BPF_K:
        return f.k;
      default:
        return std::nullopt;
    }
    std::uint32_t at = f.k - kNet;
    // The kernel ends a program that reads past the packet with 0.
    if (f.k < kNet || at > packet.size() || packet.size() - at < size) return 0;
    a = 0;
    for (std::uint32_t i = 0; i < size; ++i) a = a << 8 | packet[at + i];
  }
  return std::nullopt;
}

}  // namespace godwit::supervise
