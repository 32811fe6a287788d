// fuzz-links: agent
// StatsD text: never a crash; every line is good or bad; what is counted before parsing is what
// parsing finds; and the aggregator's points do not depend on where it is saved and restored.
#include <cstdlib>

#include "agent/aggregator.h"
#include "metrics/metrics_binary.h"

using namespace godwit::agent;

namespace {
std::string points(Aggregator& a) {
  std::string out;
  a.close(2,
          [&](const godwit::metrics::Metrics& m) { out += godwit::metrics::encodeMetrics(m, 0); });
  return out;
}
void check(bool ok) {
  if (!ok) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 65536));
  StatsdLine scratch;
  StatsdTags tags;
  StatsdParser parser;
  std::size_t good = 0, bad = 0;
  std::size_t lines = parser.parse(
      text, scratch,
      [&](const StatsdLine& l) {
        ++good;
        tags.clear();
        parser.splitTags(l, tags);
        check(tags.size() <= parser.options().max_tags + 1);
        check(!l.name.empty() && l.rate > 0 && l.rate <= 1);
      },
      [&](StatsdBad why, std::string_view) {
        ++bad;
        check(why != StatsdBad::kNone);
      });
  check(lines == good + bad && lines == countLines(text));

  AggregatorOptions o;
  o.max_series = 8;
  o.max_series_per_name = 4;
  Aggregator whole(o), first(o), second(o);
  std::size_t cut = text.find('\n', text.size() / 2);
  std::string_view head = text.substr(0, cut);
  std::string_view tail = cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1);
  whole.add(1, head);
  whole.add(1, tail);
  first.add(1, head);
  std::string state;
  first.save(state);
  check(second.restore(state));
  second.add(1, tail);
  check(points(whole) == points(second));
  return 0;
}
