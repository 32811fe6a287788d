#include "agent/cumulative_state.h"

#include <cstring>
#include <vector>

#include "agent/raw_bytes.h"
#include "base/crc32c.h"

namespace godwit::agent {
namespace {

constexpr char kMagic[8] = {'G', 'W', 'S', 'T', 'A', 'T', '1', '\n'};

}  // namespace

// Magic, u32 crc32c of what follows, then the cursor entries, pending, delta start, series.
std::string CumulativeState::encode(const SeriesStore& store) const {
  std::vector<spool::CursorEntry> entries;
  toEntries(places, counts, entries);
  std::string text(kMagic, sizeof kMagic);
  put(text, std::uint32_t{0});
  const std::size_t begin = text.size();
  put(text, static_cast<std::uint32_t>(entries.size()));
  for (const auto& e : entries) {
    put(text, e.lane_id.lo);
    put(text, e.lane_id.hi);
    put(text, e.seq);
    put(text, e.seg);
    put(text, e.off);
  }
  put(text, pending);
  put(text, delta_start_ns);
  put(text, dead_seq);
  store.save(text);
  putAt(text, sizeof kMagic, crc32c(text.data() + begin, text.size() - begin));
  return text;
}

bool CumulativeState::decode(std::string_view text, SeriesStore& store) {
  if (text.size() < 12 || std::memcmp(text.data(), kMagic, sizeof kMagic) != 0) return false;
  std::string_view s = text.substr(sizeof kMagic);
  std::uint32_t crc = 0;
  std::uint32_t n = 0;
  take(s, crc);
  if (crc32c(s.data(), s.size()) != crc || !take(s, n)) return false;
  std::vector<spool::CursorEntry> entries(n);
  for (auto& e : entries) {
    if (!take(s, e.lane_id.lo) || !take(s, e.lane_id.hi) || !take(s, e.seq) || !take(s, e.seg) ||
        !take(s, e.off)) {
      return false;
    }
  }
  if (!take(s, pending) || !take(s, delta_start_ns) || !take(s, dead_seq) || !store.restore(s)) {
    return false;
  }
  fromEntries(entries, places, counts);
  return true;
}

}  // namespace godwit::agent
