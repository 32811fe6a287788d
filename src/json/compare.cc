#include <algorithm>

#include "json/number.h"
#include "json/value.h"

namespace godwit::json {
namespace {

int sign(bool less) { return less ? -1 : 1; }

// jsonb stores members by length of key, then bytes.
std::vector<const Object::Member*> inStorageOrder(const Object& o) {
  std::vector<const Object::Member*> members;
  members.reserve(o.size());
  for (const auto& m : o) members.push_back(&m);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
    if (a->first.size() != b->first.size()) return a->first.size() < b->first.size();
    return a->first < b->first;
  });
  return members;
}

int compareNested(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return sign(a.kind() < b.kind());
  switch (a.kind()) {
    case Kind::kNull:
      return 0;
    case Kind::kString:
      return a.asString().compare(b.asString());
    case Kind::kNumber:
      return detail::compareNumbers(a.numberText(), b.numberText());
    case Kind::kBool:
      return static_cast<int>(a.asBool()) - static_cast<int>(b.asBool());
    case Kind::kArray: {
      const Array& x = a.asArray();
      const Array& y = b.asArray();
      if (x.size() != y.size()) return sign(x.size() < y.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (int r = compareNested(x[i], y[i])) return r;
      }
      return 0;
    }
    case Kind::kObject:
      break;
  }
  const Object& x = a.asObject();
  const Object& y = b.asObject();
  if (x.size() != y.size()) return sign(x.size() < y.size());
  auto p = inStorageOrder(x);
  auto q = inStorageOrder(y);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (int r = p[i]->first.compare(q[i]->first)) return r;
    if (int r = compareNested(p[i]->second, q[i]->second)) return r;
  }
  return 0;
}

}  // namespace

int compare(const Value& a, const Value& b) {
  bool a_first = a.isArray() && a.asArray().empty();
  bool b_first = b.isArray() && b.asArray().empty();
  if (a_first || b_first) return static_cast<int>(b_first) - static_cast<int>(a_first);
  return compareNested(a, b);
}

bool operator==(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.isArray()) return a.asArray() == b.asArray();
  if (!a.isObject()) return compareNested(a, b) == 0;
  const Object& x = a.asObject();
  const Object& y = b.asObject();
  if (x.size() != y.size()) return false;
  return std::all_of(x.begin(), x.end(), [&y](const Object::Member& m) {
    const Value* other = y.find(m.first);
    return other != nullptr && m.second == *other;
  });
}

}  // namespace godwit::json
