// bench-links: json base benchmark::benchmark
// What JSON costs per record: slicing and validating, canonical form, a whole document.
#include <benchmark/benchmark.h>

#include <string>

#include "json/text.h"

namespace {

using namespace godwit::json;

// Ten members, 323 bytes, as a client sends them without spaces.
const std::string kCompact =
    R"({"id":"5f8b1c2e-9a3d-4c0e-8c53-2b0c8f1d7e11","title":"Buy some milk and bread",)"
    R"("done":false,"priority":3,"tags":["home","shop"],"due":"2026-11-20T10:00:00Z",)"
    R"("note":"The shop on the corner closes at eight, so go there before.",)"
    R"("owner":{"name":"alice","mail":"alice@example.com"},"weight":12.75,)"
    R"("last_modified":1763625600123})";
// The same with a space after every separator, and not in ASCII.
const std::string kSpaced =
    "{\"id\": \"5f8b1c2e-9a3d\", \"title\": \"Caf\xc3\xa9 und Br\xc3\xb6tchen\", \"done\": false, "
    "\"priority\": 3, \"tags\": [\"home\", \"shop\"], \"note\": \"\xe2\x82\xac 12.50 at most\", "
    "\"weight\": 12.75}";
const std::string kLong = R"({"body":")" + std::string(2400, 'x') + R"(","a":1})";

const std::string& text(const benchmark::State& state) {
  return state.range(0) == 0 ? kCompact : state.range(0) == 1 ? kSpaced : kLong;
}

void count(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text(state).size()));
  state.SetLabel(state.range(0) == 0 ? "compact" : state.range(0) == 1 ? "spaced" : "long string");
}

void slice(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sliceObject(text(state)));
  count(state);
}
BENCHMARK(slice)->DenseRange(0, 2);

void canonical(benchmark::State& state) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    canonicalTo(out, text(state));
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}
BENCHMARK(canonical)->DenseRange(0, 2);

void document(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(parse(text(state)));
  count(state);
}
BENCHMARK(document)->DenseRange(0, 2);

void documentAndBack(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(dump(*parse(text(state))));
  count(state);
}
BENCHMARK(documentAndBack)->DenseRange(0, 2);

}  // namespace

BENCHMARK_MAIN();
