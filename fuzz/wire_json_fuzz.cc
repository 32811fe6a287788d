// fuzz-links: metrics base
// Whatever is accepted must come back from its own text as the same thing.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "metrics/metrics_binary.h"
#include "metrics/wire_json.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::metrics;
  Metrics m;
  if (!parseWireJson({reinterpret_cast<const char*>(data), size}, m).ok()) return 0;
  std::string text;
  appendWireJson(text, m, 0);
  for (const char c : text) require(c >= 0x20 && c < 0x7f);
  // A format need not hold all of a time, and timers are rounded, so the second text decides.
  Metrics again;
  if (parseWireJson(text, again).ok()) {
    std::string second;
    appendWireJson(second, again, 0);
    Metrics third;
    require(parseWireJson(second, third).ok());
    require(third.sampleCount() == m.sampleCount() && third.dims == again.dims);
  }
  Metrics binary;
  require(decodeMetrics(encodeMetrics(m), binary).ok());
  require(binary == m);
  return 0;
}
