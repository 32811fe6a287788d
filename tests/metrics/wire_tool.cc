// Lines in, lines out, for the tests in Python.
// usage: wire_tool roundtrip       each message parsed and written again, or "! reason"
//        wire_tool binary          the same, by way of Metrics-binary
//        wire_tool generate N SEED N random messages of our own making
//        wire_tool dump SPOOL      every frame of every lane: type, samples, message
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>

#include "metrics/lane_reader.h"
#include "metrics/metrics_binary.h"
#include "metrics/wire_json.h"

namespace {

using namespace godwit::metrics;

int convert(bool binary) {
  std::string line;
  std::string out;
  while (std::getline(std::cin, line)) {
    Metrics m;
    if (const auto r = parseWireJson(line, m); !r.ok()) {
      std::cout << "! " << r.error().message << '\n';
      continue;
    }
    if (binary) {
      Metrics again;
      if (!decodeMetrics(encodeMetrics(m, 7), again).ok()) return 1;
      m = std::move(again);
    }
    out.clear();
    appendWireJson(out, m, 0);
    std::cout << out << '\n';
  }
  return 0;
}

class Random {
 public:
  explicit Random(unsigned seed) : rng_(seed) {}
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }
  std::string text() {
    static const char* const kParts[] = {"a",    "Z9",   "_", " ", "\"", "\\", "/", "\n",    "\t",
                                         "\x7f", "\x01", "é", "€", "😀",  "'",  "<", "\u00a0"};
    std::string s = "n";
    for (std::uint64_t n = below(8); n > 0; --n) s += kParts[below(std::size(kParts))];
    return s;
  }
  double number() {
    switch (below(5)) {
      case 0:
        return static_cast<double>(below(1000));
      case 1:
        return static_cast<double>(below(100'000)) / 100;
      case 2:
        return -static_cast<double>(rng_()) * 1e-7;
      case 3:
        return std::ldexp(static_cast<double>(rng_()), static_cast<int>(below(900)) - 500);
      default:
        return 0;
    }
  }
  Meta meta() {
    Meta m;
    for (std::uint64_t n = below(4); n > 0; --n) {
      MetaValue v;
      switch (below(5)) {
        case 0:
          v = below(2) == 0;
          break;
        case 1:
          v = static_cast<std::int64_t>(rng_());
          break;
        case 2:
          v = number();
          break;
        case 3:
          v = text();
          break;
        default:
          break;
      }
      m.emplace_back(text() + std::to_string(n), std::move(v));
    }
    return m;
  }
  TimeNs time() { return static_cast<TimeNs>(below(4'102'444'800'000'000) * 1000 + below(1000)); }
  Unit unit() {
    switch (below(7)) {
      case 0:
        return Seconds;
      case 1:
        return Milliseconds;
      case 2:
        return Microseconds;
      case 3:
        return Nanoseconds;
      case 4:
        return {"minutes", 1.0 / 60};
      case 5:
        return {"hours", 1.0 / 3600};
      default:
        return {"ms", 1000, true};
    }
  }

 private:
  std::mt19937_64 rng_;
};

int generate(int n, unsigned seed) {
  Random r(seed);
  static const char* const kFormats[] = {"%Y-%m-%dT%H:%M:%S.%fZ", "%d/%m/%Y %H:%M:%S.%f",
                                         "%Y%m%d%H%M%S%f",        "%j %Y %H-%M-%S-%f %%",
                                         "%b %d %Y %H:%M:%S.%f",  "%B %d %Y %f %H:%M:%S"};
  std::string out;
  for (int i = 0; i < n; ++i) {
    Metrics m;
    for (std::uint64_t k = r.below(4); k > 0; --k) m.dims.emplace_back(r.text(), r.text());
    if (r.below(2)) m.timestamp_format = kFormats[r.below(std::size(kFormats))];
    for (std::uint64_t k = r.below(4); k > 0; --k) {
      Sample& s = m.counters.emplace_back();
      s.name = r.text();
      s.value = r.number();
      s.ts = r.time();
      s.meta = r.meta();
    }
    for (std::uint64_t k = r.below(4); k > 0; --k) {
      Sample& s = m.timers.emplace_back();
      s.kind = Kind::Timer;
      s.name = r.text();
      s.unit = r.unit();
      // Up to three hours, to the nanosecond: the writer has to round.
      s.value = static_cast<double>(r.below(10'800'000'000'000)) / 1e9 * s.unit.per_second;
      s.ts = r.time();
      s.meta = r.meta();
    }
    out.clear();
    appendWireJson(out, m, r.time());
    std::cout << out << '\n';
  }
  return 0;
}

int dump(const std::string& spool_dir) {
  Metrics m;
  std::string out;
  for (const auto& name : spool::listLanes(spool_dir)) {
    auto reader = spool::LaneReader::open(spool_dir + "/lanes/" + name);
    if (!reader.ok()) return 1;
    spool::FrameView f;
    spool::Gap g;
    for (;;) {
      const auto s = reader->next(f, g);
      if (s == spool::ReadStatus::kEnd) break;
      if (s == spool::ReadStatus::kGap) {
        std::cout << "gap " << g.frames() << '\n';
        continue;
      }
      out.clear();
      if (f.type == spool::FrameType::kMetrics) {
        if (!decodeMetrics(f.payload, m).ok()) return 1;
        appendWireJson(out, m, 0);
        for (const Sample& e : m.extra) {
          out += "\t" + e.name + "=";
          appendPythonFloat(out, e.value);
        }
      }
      std::cout << static_cast<int>(f.type) << ' ' << static_cast<int>(f.flags) << ' '
                << f.n_samples << ' ' << out << '\n';
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "roundtrip") return convert(false);
  if (mode == "binary") return convert(true);
  if (mode == "generate" && argc == 4) {
    return generate(std::atoi(argv[2]), static_cast<unsigned>(std::atoi(argv[3])));
  }
  if (mode == "dump" && argc == 3) return dump(argv[2]);
  std::cerr << "usage: wire_tool roundtrip | binary | generate N SEED | dump SPOOL\n";
  return 2;
}
