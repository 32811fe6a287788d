#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "supervise/units.h"

namespace godwit::supervise {

// Pending points in time, each with a key; at most one per key. A sorted vector: there are a dozen
// of them, and the earliest is read at every turn of the loop. Not thread safe.
template <class Key>
class Deadlines {
 public:
  // Replaces the key's deadline; kNever removes it.
  void set(const Key& key, TimeNs at) {
    clear(key);
    if (at == kNever) return;
    auto place = std::upper_bound(items_.begin(), items_.end(), at,
                                  [](TimeNs t, const Item& i) { return t < i.first; });
    items_.insert(place, Item(at, key));
  }
  void clear(const Key& key) {
    std::erase_if(items_, [&](const Item& i) { return i.second == key; });
  }
  [[nodiscard]] TimeNs next() const { return items_.empty() ? kNever : items_.front().first; }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  // The earliest key that is due, removed; equal deadlines in the order they were set.
  std::optional<Key> popDue(TimeNs now) {
    if (items_.empty() || items_.front().first > now) return std::nullopt;
    Key key = std::move(items_.front().second);
    items_.erase(items_.begin());
    return key;
  }

 private:
  using Item = std::pair<TimeNs, Key>;
  std::vector<Item> items_;
};

}  // namespace godwit::supervise
