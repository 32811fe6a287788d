#pragma once

#include <algorithm>
#include <cstdint>

#include "store/types.h"

namespace godwit::store {

constexpr Timestamp kMaxTimestamp = (Timestamp{1} << 53) - 1;  // exact in every JSON reader

struct Stamp {
  Timestamp object = 0;
  Timestamp list = 0;  // the list's timestamp afterwards
};

// The timestamp rules of Session, in one place. `list`: the list's timestamp, 0 when it has none,
// never below any of its objects'. `floor`: the timestamp a deleted list of that name had, or 0;
// one created anew in the same millisecond must differ. `current`: the object's, tombstones
// included, or 0. `requested`: 0 for none. `taken(t)`: does an object of the list have `t`? Asked
// at most once.
template <class Taken>
Stamp nextStamp(Timestamp list, Timestamp floor, Timestamp current, Timestamp requested,
                Timestamp now, Taken taken) {
  if (requested > current) {
    if (requested == list) return {list + 1, list + 1};
    if (requested > list) return {requested, requested};
    if (!taken(requested)) return {requested, list};
  }
  Timestamp fresh = std::max({now, list + 1, floor + 1});
  return {fresh, fresh};
}

}  // namespace godwit::store
