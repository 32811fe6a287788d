#include "agent/line_cache.h"

#include <cstring>
#include <new>

#include "agent/byte_hash.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kFirstSets = 1u << 8;
constexpr std::size_t kMostSets = 1u << 16;
// Longer ones are rare, and a hundred thousand of them would be a lot of memory.
constexpr std::size_t kMostBytes = 1024;

std::uint64_t load8(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
std::uint64_t load4(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// At most eight bytes as one number; with the size it tells them apart.
std::uint64_t loadShort(const char* p, std::size_t n) {
  if (n >= 4) return load4(p) | load4(p + n - 4) << 32;
  if (n == 0) return 0;
  auto at = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(p[i])}; };
  return at(0) | at(n / 2) << 8 | at(n - 1) << 16;
}

// In steps of eight, the last one reaching back over bytes already seen: no call, no tail loop.
std::uint64_t fold(std::string_view s, std::uint64_t h) {
  const char* p = s.data();
  std::size_t n = s.size();
  h = mix(h, n);
  if (n < 8) return mix(h, loadShort(p, n));
  for (; n > 8; n -= 8, p += 8) h = mix(h, load8(p));
  return mix(h, load8(p + n - 8));
}

bool same(const char* a, const char* b, std::size_t n) {
  if (n < 8) return loadShort(a, n) == loadShort(b, n);
  std::uint64_t differ = load8(a + n - 8) ^ load8(b + n - 8);
  for (; n > 8; n -= 8, a += 8, b += 8) differ |= load8(a) ^ load8(b);
  return differ == 0;
}

}  // namespace

std::uint64_t LineCache::hash(const LineCut& cut) {
  // Two chains side by side take the time of one.
  return mix(fold(cut.name, 0x243f6a8885a308d3), fold(cut.sections, 0x13198a2e03707344));
}

const LineCache::Entry* LineCache::find(const LineCut& cut, std::uint64_t hash) const {
  if (sets_.empty()) return nullptr;
  const Set& set = sets_[hash & (sets_.size() - 1)];
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set.hashes[i] != hash) continue;
    const Known* k = set.known[i].get();
    if (!k || k->name_size != cut.name.size() || k->sections_size != cut.sections.size()) continue;
    if (same(k->bytes(), cut.name.data(), k->name_size) &&
        same(k->bytes() + k->name_size, cut.sections.data(), k->sections_size)) {
      return k;
    }
  }
  return nullptr;
}

void LineCache::remember(const LineCut& cut, std::uint64_t hash, const Entry& entry) {
  const std::size_t bytes = cut.name.size() + cut.sections.size();
  if (sets_.empty() || bytes > kMostBytes) return;
  Set& set = sets_[hash & (sets_.size() - 1)];
  std::size_t at = hash >> 62;
  for (std::size_t i = 0; i < kWays; ++i) {
    if (!set.known[i]) at = i;
  }
  auto* k = static_cast<Known*>(::operator new(sizeof(Known) + bytes));
  new (k) Known{entry, static_cast<std::uint16_t>(cut.name.size()),
                static_cast<std::uint16_t>(cut.sections.size())};
  char* to = reinterpret_cast<char*>(k + 1);
  std::memcpy(to, cut.name.data(), cut.name.size());
  std::memcpy(to + cut.name.size(), cut.sections.data(), cut.sections.size());
  set.known[at].reset(k);
  set.hashes[at] = hash;
}

void LineCache::clear() {
  for (Set& set : sets_) set = Set();
}

void LineCache::makeRoom(std::size_t series) {
  if (sets_.size() >= kMostSets || series * 2 < sets_.size() * kWays) return;
  sets_ = std::vector<Set>(sets_.empty() ? kFirstSets : sets_.size() * 4);
}

}  // namespace godwit::agent
