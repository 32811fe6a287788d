// fuzz-links: base
// Any bytes are an INI file or an error that names a line; every value interpolates or says why.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/ini.h"
#include "base/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto ini = Ini::parse(text, "f", {{"here", "/x"}, {"a", "%(b)s%(b)s"}, {"b", "%(a)s"}});
  if (!ini.ok()) {
    if (ini.error().message.compare(0, 2, "f:") != 0) std::abort();
    return 0;
  }
  for (const Ini::Section& s : ini->sections()) {
    for (const Ini::Entry& e : s.entries) {
      auto value = ini->value(s, e);
      if (!value.ok()) continue;
      (void)parseDuration(*value);
      (void)parseSize(*value);
      (void)maskUrl(*value);
      (void)matchesPattern("{plural|object}_{x}.{y}_enabled", e.key);
      (void)keyFromEnvironment("{a|b}.policy.{x}.use", e.key);
      (void)editDistance(e.key, *value, 5);
    }
  }
  return 0;
}
