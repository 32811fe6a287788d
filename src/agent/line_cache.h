// Finds the series of a StatsD line from the bytes around its value, without taking them apart. A
// cache, bounded: what is not in it takes the slow way and is remembered. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "agent/line_scan.h"
#include "agent/statsd_parser.h"

namespace godwit::agent {

struct StatsdSeries;

class LineCache {
 public:
  // What follows from everything in a line but its value.
  struct Entry {
    StatsdSeries* series;
    double rate;
    std::uint16_t tags_cut;
    StatsdType type;
  };

  static std::uint64_t hash(const LineCut& cut);
  // Starts to load what find() will look at.
  void prefetch(std::uint64_t hash) const {
    if (!sets_.empty()) __builtin_prefetch(&sets_[hash & (sets_.size() - 1)]);
  }
  // And then what that leads to.
  void prefetchEntry(std::uint64_t hash) const {
    if (sets_.empty()) return;
    const Set& set = sets_[hash & (sets_.size() - 1)];
    for (std::size_t i = 0; i < kWays; ++i) {
      if (set.hashes[i] == hash) __builtin_prefetch(set.known[i].get());
    }
  }
  // nullptr: not there. Good until the next call of remember() or clear().
  [[nodiscard]] const Entry* find(const LineCut& cut, std::uint64_t hash) const;
  // May forget another line.
  void remember(const LineCut& cut, std::uint64_t hash, const Entry& entry);
  void clear();
  // Grows for that many series; what was known is found again the slow way.
  void makeRoom(std::size_t series);

 private:
  struct Known : Entry {
    std::uint16_t name_size;
    std::uint16_t sections_size;
    // The bytes follow, name first.
    [[nodiscard]] const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  };
  struct Delete {
    void operator()(Known* k) const { ::operator delete(k); }
  };
  static constexpr std::size_t kWays = 4;
  struct alignas(64) Set {
    std::array<std::uint64_t, kWays> hashes{};
    std::array<std::unique_ptr<Known, Delete>, kWays> known;
  };

  std::vector<Set> sets_;  // a power of two of them, or none
};

}  // namespace godwit::agent
