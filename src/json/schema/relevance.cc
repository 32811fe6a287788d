#include <algorithm>
#include <tuple>

#include "json/schema/schema.h"

namespace godwit::json {
namespace {

// Larger is more relevant.
auto relevance(const Violation& v) {
  bool weak = v.keyword == "anyOf" || v.keyword == "oneOf";
  return std::tuple(-static_cast<long>(v.path.size()), !weak, !v.type_fits);
}

}  // namespace

const Violation* bestMatch(const std::vector<Violation>& violations) {
  if (violations.empty()) return nullptr;
  const Violation* best = &violations.front();
  for (const Violation& v : violations) {
    if (relevance(v) > relevance(*best)) best = &v;
  }
  while (!best->context.empty()) {
    std::vector<const Violation*> sorted;
    for (const Violation& v : best->context) sorted.push_back(&v);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Violation* a, const Violation* b) {
      return relevance(*a) < relevance(*b);
    });
    if (sorted.size() > 1 && relevance(*sorted[0]) == relevance(*sorted[1])) return best;
    best = sorted[0];
  }
  return best;
}

}  // namespace godwit::json
