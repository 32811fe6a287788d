// StatsD and DogStatsD text. Pure: no I/O, no allocation per line once the vectors have grown.
// Views point into the datagram and live as long as it does. One parser per thread.
//
//   name:value[:value...]|type[|@rate][|#tags][|c:container][|T<unix s>][|e:...][|card:...]
//
// docs/godwit-agent.md "StatsD" lists what is accepted and why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/line_scan.h"

namespace godwit::agent {

enum class StatsdType : std::uint8_t {
  kCounter,
  kGauge,
  kTimer,         // ms
  kHistogram,     // h
  kDistribution,  // d
  kSet,
  kKeyValue,  // statsite's kv: kept as a gauge
  kEvent,
  kServiceCheck,
};

// Why a line was refused. kNone: it was not.
enum class StatsdBad : std::uint8_t {
  kNone,
  kNoType,
  kNoValue,
  kEmptyName,
  kBadValue,
  kBadRate,
  kUnknownType,
  kNameTooLong,
  kNegativeTimer,
  kBadEvent,
  kBadTimestamp,
  kCount,
};
std::string_view statsdBadName(StatsdBad bad);

struct StatsdOptions {
  bool gauge_delta = true;   // a leading + or - on a gauge changes it instead of setting it
  bool etsy_compat = false;  // a line without ':' counts one
  std::size_t max_name = 1024;
  std::size_t max_tags = 64;
  std::size_t max_tag = 200;  // bytes of "key:value"; the rest is cut off and counted
  std::size_t max_values = 4096;
};

using StatsdTags = std::vector<std::pair<std::string_view, std::string_view>>;

struct StatsdLine {
  struct Value {
    double number;
    bool relative;  // a gauge delta
  };

  StatsdType type = StatsdType::kCounter;
  std::string_view name;         // as sent, inline tags (",k=v", ";k=v") removed
  std::string_view inline_tags;  // what was removed from the name, separator included
  std::string_view tags;         // what follows "|#"
  std::string_view container;
  std::vector<Value> values;  // not for sets
  std::string_view member;    // sets: everything between name and type
  double rate = 1;            // (0, 1]
  std::int64_t unix_s = 0;    // with "|T"
  bool has_time = false;
};

class StatsdParser {
 public:
  explicit StatsdParser(StatsdOptions options = {}) : options_(options) {}

  // One line without its newline (a final '\r' is ignored). `out` is valid only for kNone.
  StatsdBad parseLine(std::string_view line, StatsdLine& out) const;

  // One value of a line of that type, not a set.
  StatsdBad parseValue(std::string_view text, StatsdType type, StatsdLine::Value& out) const;

  // Appends every tag of the line: inline ones, "|#" ones, the container. Returns how many were
  // cut short or left out because of a limit.
  std::size_t splitTags(const StatsdLine& line, StatsdTags& out) const;

  // good(const StatsdLine&) and bad(StatsdBad, std::string_view line) for each line that is not
  // empty. Returns how many there were.
  template <class Good, class Bad>
  std::size_t parse(std::string_view datagram, StatsdLine& scratch, Good&& good, Bad&& bad) const {
    std::size_t lines = 0;
    while (!datagram.empty()) {
      std::string_view line = cutLine(datagram).line;
      if (line.empty() || line == "\r") continue;
      ++lines;
      StatsdBad why = parseLine(line, scratch);
      if (why == StatsdBad::kNone) {
        good(static_cast<const StatsdLine&>(scratch));
      } else {
        bad(why, line);
      }
    }
    return lines;
  }

  [[nodiscard]] const StatsdOptions& options() const { return options_; }

 private:
  StatsdBad parseEvent(std::string_view line, StatsdLine& out) const;
  StatsdBad parseServiceCheck(std::string_view line, StatsdLine& out) const;
  StatsdBad parseSections(std::string_view rest, StatsdLine& out) const;
  StatsdBad parseValues(std::string_view values, StatsdLine& out) const;

  StatsdOptions options_;
};

}  // namespace godwit::agent
