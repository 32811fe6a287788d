// fuzz-links: json base
// Input: a document, a newline, a patch. Either kind of patch must end soon, within its limits, and
// leave a document that can be written and read.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "json/patch.h"

namespace {

using namespace godwit::json;

void requireSound(const Value& v) {
  std::string dumped = dump(v);
  auto again = parse(dumped, Limits(1024));
  if (!again.ok() || !(*again == v)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t cut = text.find('\n');
  if (cut == std::string_view::npos) return 0;
  auto doc = parse(text.substr(0, cut));
  auto patch = parse(text.substr(cut + 1));
  if (!doc.ok() || !patch.ok()) return 0;
  requireSound(applyMergePatch(*doc, *patch));
  if (auto r = applyPatch(*doc, *patch); r.ok()) requireSound(*r);
  return 0;
}
