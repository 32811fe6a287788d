#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "godwit/metrics/metrics.h"

namespace godwit::metrics {

// Finds a sample by name. A request has a handful, for which looking at all is fastest; beyond that
// a table of positions takes over. The list may only grow.
class NameIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::uint32_t find(const std::vector<Sample>& list, std::string_view name) {
    if (list.size() <= kLinear) {
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i].name == name) return static_cast<std::uint32_t>(i);
      }
      return kNone;
    }
    if (list.size() * 2 > table_.size() || indexed_ < list.size()) extend(list);
    for (std::size_t at = hash(name);; ++at) {
      const std::uint32_t i = table_[at & (table_.size() - 1)];
      if (i == kNone || list[i].name == name) return i;
    }
  }

  // For a list that has been emptied.
  void clear() {
    table_.clear();
    indexed_ = 0;
  }

 private:
  static constexpr std::size_t kLinear = 12;

  static std::size_t hash(std::string_view s) { return std::hash<std::string_view>{}(s); }
  void extend(const std::vector<Sample>& list) {
    if (list.size() * 2 > table_.size()) {
      std::size_t size = 64;
      while (size < list.size() * 4) size *= 2;
      table_.assign(size, kNone);
      indexed_ = 0;
    }
    for (; indexed_ < list.size(); ++indexed_) {
      std::size_t at = hash(list[indexed_].name);
      while (table_[at & (table_.size() - 1)] != kNone) ++at;
      table_[at & (table_.size() - 1)] = static_cast<std::uint32_t>(indexed_);
    }
  }

  std::vector<std::uint32_t> table_;  // power of two, at most half full
  std::size_t indexed_ = 0;
};

}  // namespace godwit::metrics
