#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace godwit::agent {

// Distinct members: exact up to kExact, then an estimate (HyperLogLog, 4096 registers, 1.6 %).
class Distinct {
 public:
  static constexpr std::size_t kExact = 1024;
  void add(std::string_view member);
  [[nodiscard]] double count() const;
  void appendTo(std::string& out) const;
  static std::optional<Distinct> parse(std::string_view bytes);

 private:
  void addHash(std::uint64_t h);
  std::unordered_set<std::uint64_t> exact_;
  std::vector<std::uint8_t> registers_;  // empty while exact
};

}  // namespace godwit::agent
