// InfluxDB line protocol, both ways. Pure.
//
//   measurement[,tag=value...] field=value[,field=value...] [timestamp]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "godwit/metrics/metrics.h"

namespace godwit::agent {

// ---- writing ----

// The first type seen for each (measurement, field). InfluxDB refuses a point whose field has
// another type than before; this turns a later value into the first type where that loses nothing.
// Bounded: beyond `capacity` pairs new ones are passed through unchecked. One thread.
class FieldTypes {
 public:
  enum class Type : char { kFloat = 'f', kInt = 'i', kString = 's', kBool = 'b' };
  explicit FieldTypes(std::size_t capacity = 20'000) : capacity_(capacity) {}

  // What `wanted` has to be written as.
  Type agree(std::string_view measurement, std::string_view field, Type wanted);
  [[nodiscard]] std::size_t size() const { return types_.size(); }

 private:
  std::size_t capacity_;
  std::unordered_map<std::string, Type> types_;
  std::string key_;
};

enum class LineResult : std::uint8_t {
  kOk,
  kEmptyName,
  kNotFinite,     // NaN or infinite: the protocol has no notation
  kTypeConflict,  // would be refused, and cannot be converted
  kTooLong,       // over 64 KiB
};
std::string_view lineResultName(LineResult result);

// Appends one line (with its newline) for `sample`; on anything but kOk `out` is as before.
// Measurement = name; tags = dims sorted by key without empty values, `host` added unless empty or
// present; fields = metadata, then value (and unit, and what else the kind has).
class LineWriter {
 public:
  explicit LineWriter(std::string host) : host_(std::move(host)) {}

  LineResult append(std::string& out, const metrics::Dims& dims, const metrics::Sample& sample);

 private:
  void appendTags(std::string& out, const metrics::Dims& dims);
  bool appendField(std::string& out, std::string_view measurement, std::string_view key,
                   const metrics::MetaValue& value, bool& first, LineResult& result);

  std::string host_;
  FieldTypes types_;
  std::vector<std::pair<std::string_view, std::string_view>> sorted_;
  metrics::Meta extra_;
};

// ---- reading ----

// The parts of a line, views into it, still escaped.
struct LineParts {
  std::string_view series;  // measurement and tags
  std::string_view fields;
  std::string_view timestamp;  // may be empty
};
// nullopt when the line has not this shape: names empty, a field without value, quotes open, a
// value that is none, a timestamp that is no integer.
std::optional<LineParts> splitLine(std::string_view line);

// Unescaped. Fields keep their type; integers are int64 (unsigned ones too large for that are
// refused).
struct LinePoint {
  std::string measurement;
  metrics::Dims tags;
  std::vector<std::pair<std::string, metrics::MetaValue>> fields;
  std::int64_t timestamp = 0;
};
bool parseLinePoint(const LineParts& parts, LinePoint& out);

// Nanoseconds of a unit of the `precision` parameter: ns n us u µs ms s m h; 0: unknown.
std::int64_t precisionNs(std::string_view precision);

}  // namespace godwit::agent
