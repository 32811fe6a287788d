#include "agent/ledger.h"

#include <algorithm>

namespace godwit::agent {
namespace {

// An entry whose lane id has this upper half is a counter: lo says which, seq is its value. Lane
// ids are random; a lane that happens to look like one costs a re-read of that lane.
constexpr std::uint64_t kCounterMark = 0x3a73'7475'6f43'7747;  // "GwCouts:"
// The same lane id with its upper half turned over holds the samples passed in that lane.
constexpr std::uint64_t kSamplesMark = 0x3a73'656c'706d'6153;  // "Samples:"

}  // namespace

std::string_view dropName(Drop reason) {
  switch (reason) {
    case Drop::kNan:
      return "nan";
    case Drop::kEmptyName:
      return "empty_name";
    case Drop::kOversize:
      return "oversize";
    case Drop::kUnsupported:
      return "unsupported";
    case Drop::kSpoolFull:
      return "spool_full";
    case Drop::kCorrupt:
      return "corrupt";
    case Drop::kTail:
      return "tail";
    case Drop::kMiscounted:
      return "miscounted";
    case Drop::kUnknownFrame:
      return "unknown_frame";
    case Drop::kAtMostOnce:
      return "at_most_once";
    case Drop::kDisabled:
      return "disabled";
    case Drop::kCount:
      break;
  }
  return "unknown";
}

std::uint64_t Counts::droppedTotal() const {
  std::uint64_t n = 0;
  for (auto d : dropped) n += d;
  return n;
}

Counts& Counts::operator+=(const Counts& other) {
  published += other.published;
  dead += other.dead;
  skipped += other.skipped;
  for (std::size_t i = 0; i < kDrops; ++i) dropped[i] += other.dropped[i];
  return *this;
}

Counts& Counts::operator-=(const Counts& other) {
  published -= other.published;
  dead -= other.dead;
  skipped -= other.skipped;
  for (std::size_t i = 0; i < kDrops; ++i) dropped[i] -= other.dropped[i];
  return *this;
}

void toEntries(const Places& places, const Counts& counts, std::vector<spool::CursorEntry>& out) {
  out.clear();
  out.reserve(places.size() * 2 + 2 + kDrops);
  for (const auto& [id, p] : places) {
    out.push_back({id, p.position.seq, static_cast<std::uint32_t>(p.position.seg),
                   static_cast<std::uint32_t>(p.position.off)});
    if (p.samples != 0) out.push_back({{id.lo, id.hi ^ kSamplesMark}, p.samples, 0, 1});
  }
  auto counter = [&](std::uint64_t k, std::uint64_t v) {
    if (v != 0) out.push_back({{k, kCounterMark}, v, 0, 2});
  };
  counter(0, counts.published);
  counter(1, counts.dead);
  counter(2, counts.skipped);
  for (std::size_t i = 0; i < kDrops; ++i) counter(16 + i, counts.dropped[i]);
}

void fromEntries(const std::vector<spool::CursorEntry>& entries, Places& places, Counts& counts) {
  places.clear();
  counts = {};
  for (const auto& e : entries) {
    if (e.seg != 0 || e.off > 2) {
      LanePlace& p = places[e.lane_id];
      p.position = {e.seq, e.seg, e.off};
    } else if (e.off == 1) {
      places[{e.lane_id.lo, e.lane_id.hi ^ kSamplesMark}].samples = e.seq;
    } else if (e.off == 2 && e.lane_id.hi == kCounterMark) {
      if (e.lane_id.lo == 0) counts.published = e.seq;
      if (e.lane_id.lo == 1) counts.dead = e.seq;
      if (e.lane_id.lo == 2) counts.skipped = e.seq;
      if (e.lane_id.lo >= 16 && e.lane_id.lo - 16 < kDrops) {
        counts.dropped[e.lane_id.lo - 16] = e.seq;
      }
    }
  }
}

Result<Ledger> Ledger::open(const std::string& path) {
  auto file = spool::CursorFile::open(path);
  if (!file) return std::move(file).error();
  Ledger ledger(std::move(file).value());
  fromEntries(ledger.file_.entries(), ledger.places_, ledger.counts_);
  return ledger;
}

void Ledger::add(const Places& places, const Counts& counts) {
  for (const auto& [id, place] : places) places_[id] = place;
  counts_ += counts;
}

void Ledger::replace(Places places, Counts counts) {
  places_ = std::move(places);
  counts_ = counts;
}

void Ledger::forget(const std::vector<LanePtr>& existing) {
  for (auto it = places_.begin(); it != places_.end();) {
    bool known = std::any_of(existing.begin(), existing.end(),
                             [&](const LanePtr& l) { return l->id == it->first; });
    it = known ? std::next(it) : places_.erase(it);
  }
}

Result<> Ledger::store() {
  std::vector<spool::CursorEntry> entries;
  toEntries(places_, counts_, entries);
  return file_.store(entries);
}

}  // namespace godwit::agent
