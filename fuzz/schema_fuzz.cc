// fuzz-links: json base
// Input: a schema, a newline, an instance. Judging must end within its step limit, find the first
// violation among all of them, and name places that exist in the instance.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "json/schema/schema.h"

namespace {

using namespace godwit::json;

void require(bool holds) {
  if (!holds) std::abort();
}

bool leadsSomewhere(const Value& instance, const std::vector<PathStep>& path) {
  const Value* at = &instance;
  for (const PathStep& step : path) {
    if (const auto* name = std::get_if<std::string>(&step)) {
      at = at->isObject() ? at->get(*name) : nullptr;
    } else {
      std::size_t i = std::get<std::size_t>(step);
      at = at->isArray() && i < at->asArray().size() ? &at->asArray()[i] : nullptr;
    }
    if (at == nullptr) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t cut = text.find('\n');
  if (cut == std::string_view::npos) return 0;
  auto document = parse(text.substr(0, cut));
  auto instance = parse(text.substr(cut + 1));
  if (!document.ok() || !instance.ok()) return 0;
  (void)Schema::meta().violations(*document);
  auto schema = Schema::compile(*document);
  if (!schema.ok()) return 0;
  auto first = (*schema)->firstViolation(*instance);
  auto all = (*schema)->violations(*instance);
  if (!all.ok()) return 0;
  // What stays within the limits to the end does so up to the first violation.
  require(first.ok() && first->empty() == all->empty());
  for (const Violation& v : *all) require(leadsSomewhere(*instance, v.path));
  return 0;
}
