// fuzz-links: json base
// The three ways through a JSON text must judge it alike and agree on what it says.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "json/text.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::json;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto v = parse(text);
  auto slices = sliceObject(text);
  require(slices.ok() == (v.ok() && v->isObject()));
  std::string canonical;
  canonicalTo(canonical, text);  // must be harmless on what is not valid, too
  (void)findPath(text, "a.b.c");
  if (!v.ok()) return 0;

  std::string dumped = dump(*v);
  require(canonical == dumped);
  require(textContainsNul(canonical) == containsNul(*v));
  auto again = parse(dumped);
  require(again.ok() && *again == *v && compare(*again, *v) == 0 && dump(*again) == dumped);
  if (!v->isObject()) return 0;
  require(slices->size() == v->asObject().size());
  for (const Slice& s : *slices) {
    const Value* member = v->get(s.key);
    require(member != nullptr);
    require(findPath(dumped, s.key) == dump(*member));
  }
  return 0;
}
