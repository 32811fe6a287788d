#include "agent/distinct.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "agent/byte_hash.h"
#include "agent/raw_bytes.h"

namespace godwit::agent {

void Distinct::add(std::string_view member) { addHash(mix(hashBytes(member, 0x5e7), 0x1234567)); }

void Distinct::addHash(std::uint64_t h) {
  if (registers_.empty()) {
    exact_.insert(h);
    if (exact_.size() <= kExact) return;
    registers_.assign(4096, 0);
    auto all = std::move(exact_);
    exact_.clear();
    for (std::uint64_t e : all) addHash(e);
    return;
  }
  std::size_t slot = h >> 52;
  auto rank = static_cast<std::uint8_t>(std::countl_zero((h << 12) | 0x800) + 1);
  registers_[slot] = std::max(registers_[slot], rank);
}

double Distinct::count() const {
  if (registers_.empty()) return static_cast<double>(exact_.size());
  double sum = 0;
  int zeros = 0;
  for (std::uint8_t r : registers_) {
    sum += std::ldexp(1.0, -r);
    zeros += r == 0;
  }
  constexpr double m = 4096;
  double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
  if (estimate <= 2.5 * m && zeros > 0) estimate = m * std::log(m / zeros);
  return std::round(estimate);
}

void Distinct::appendTo(std::string& out) const {
  put(out, static_cast<std::uint8_t>(registers_.empty() ? 0 : 1));
  if (registers_.empty()) {
    for (std::uint64_t h : exact_) put(out, h);
  } else {
    out.append(reinterpret_cast<const char*>(registers_.data()), registers_.size());
  }
}

std::optional<Distinct> Distinct::parse(std::string_view bytes) {
  Distinct d;
  if (bytes.empty()) return std::nullopt;
  bool dense = bytes[0] == 1;
  bytes.remove_prefix(1);
  if (dense) {
    if (bytes.size() != 4096) return std::nullopt;
    d.registers_.assign(bytes.begin(), bytes.end());
    return d;
  }
  if (bytes.size() % 8 != 0 || bytes.size() / 8 > kExact) return std::nullopt;
  for (; !bytes.empty(); bytes.remove_prefix(8)) {
    std::uint64_t h;
    std::memcpy(&h, bytes.data(), 8);
    d.exact_.insert(h);
  }
  return d;
}

}  // namespace godwit::agent
