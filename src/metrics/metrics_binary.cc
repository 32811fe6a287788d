#include "metrics/metrics_binary.h"

#include <array>

#include "metrics/bytes.h"

namespace godwit::metrics {
namespace {

enum MetricsFlag : std::uint8_t { kHasFormat = 1, kHasSerializedAt = 2 };
enum SampleFlag : std::uint8_t {
  kExplicit = 1,
  kHasRate = 2,
  kHasUnit = 4,
  kHasMeta = 8,
  kHasData = 16,
};
enum MetaTag : std::uint8_t { kNull = 0, kFalse, kTrue, kInt, kDouble, kString };

constexpr std::uint8_t kCustomUnit = 0;

// Index + 1 is the code on disk.
const std::array<const Unit*, 4> kUnits{&Seconds, &Milliseconds, &Microseconds, &Nanoseconds};

std::uint8_t unitCode(const Unit& u) {
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    if (*kUnits[i] == u) return static_cast<std::uint8_t>(i + 1);
  }
  return kCustomUnit;
}

std::size_t textSize(std::string_view s) { return varintSize(s.size()) + s.size(); }

std::size_t metaSize(const Meta& meta) {
  std::size_t n = varintSize(meta.size());
  for (const auto& [key, value] : meta) {
    n += textSize(key) + 1;
    if (std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value)) {
      n += 8;
    } else if (const auto* s = std::get_if<std::string>(&value)) {
      n += textSize(*s);
    }
  }
  return n;
}

std::size_t sampleSize(const Sample& s) {
  std::size_t n = 2 + textSize(s.name) + 16;
  if (s.rate != 1) n += 8;
  if (!s.unit.name.empty()) n += unitCode(s.unit) ? 1 : 1 + textSize(s.unit.name) + 9;
  if (!s.meta.empty()) n += metaSize(s.meta);
  if (!s.data.empty()) n += textSize(s.data);
  return n;
}

void writeMeta(ByteWriter& w, const Meta& meta) {
  w.varint(meta.size());
  for (const auto& [key, value] : meta) {
    w.text(key);
    if (const auto* b = std::get_if<bool>(&value)) {
      w.fixed<std::uint8_t>(*b ? kTrue : kFalse);
    } else if (const auto* i = std::get_if<std::int64_t>(&value)) {
      w.fixed<std::uint8_t>(kInt);
      w.fixed(*i);
    } else if (const auto* d = std::get_if<double>(&value)) {
      w.fixed<std::uint8_t>(kDouble);
      w.fixed(*d);
    } else if (const auto* s = std::get_if<std::string>(&value)) {
      w.fixed<std::uint8_t>(kString);
      w.text(*s);
    } else {
      w.fixed<std::uint8_t>(kNull);
    }
  }
}

void writeSample(ByteWriter& w, const Sample& s) {
  unsigned flags = 0;
  if (s.explicit_ts) flags |= kExplicit;
  if (s.rate != 1) flags |= kHasRate;
  if (!s.unit.name.empty()) flags |= kHasUnit;
  if (!s.meta.empty()) flags |= kHasMeta;
  if (!s.data.empty()) flags |= kHasData;
  w.fixed(static_cast<std::uint8_t>(s.kind));
  w.fixed(static_cast<std::uint8_t>(flags));
  w.text(s.name);
  w.fixed(s.value);
  w.fixed(s.ts);
  if (flags & kHasRate) w.fixed(s.rate);
  if (flags & kHasUnit) {
    const std::uint8_t code = unitCode(s.unit);
    w.fixed(code);
    if (code == kCustomUnit) {
      w.text(s.unit.name);
      w.fixed(s.unit.per_second);
      w.fixed<std::uint8_t>(s.unit.integral ? 1 : 0);
    }
  }
  if (flags & kHasMeta) writeMeta(w, s.meta);
  if (flags & kHasData) w.text(s.data);
}

void readMeta(ByteReader& r, Meta& meta) {
  const std::uint64_t n = r.varint();
  if (n > r.left() / 2) return r.fail();  // an entry takes two bytes at least
  meta.reserve(n);
  for (std::uint64_t i = 0; i < n && r.ok(); ++i) {
    const std::string_view key = r.text();
    MetaValue value;
    switch (r.fixed<std::uint8_t>()) {
      case kNull:
        break;
      case kFalse:
        value = false;
        break;
      case kTrue:
        value = true;
        break;
      case kInt:
        value = r.fixed<std::int64_t>();
        break;
      case kDouble:
        value = r.fixed<double>();
        break;
      case kString:
        value = std::string(r.text());
        break;
      default:
        return r.fail();
    }
    meta.emplace_back(std::string(key), std::move(value));
  }
}

void readUnit(ByteReader& r, Unit& unit) {
  const auto code = r.fixed<std::uint8_t>();
  if (code > kUnits.size()) return r.fail();
  if (code != kCustomUnit) {
    unit = *kUnits[code - 1U];
    return;
  }
  unit.name = r.text();
  unit.per_second = r.fixed<double>();
  unit.integral = r.fixed<std::uint8_t>() != 0;
  if (unit.name.empty()) r.fail();
}

void readSample(ByteReader& r, std::uint16_t slot, Metrics& out) {
  const auto kind = r.fixed<std::uint8_t>();
  const auto flags = r.fixed<std::uint8_t>();
  if (!r.ok() || kind == 0 || kind > kKindMax || flags >= 2 * kHasData) return r.fail();
  auto& list = kind == static_cast<std::uint8_t>(Kind::Counter) ? out.counters
               : kind == static_cast<std::uint8_t>(Kind::Timer) ? out.timers
                                                                : out.extra;
  Sample& s = list.emplace_back();
  s.kind = static_cast<Kind>(kind);
  s.explicit_ts = (flags & kExplicit) != 0;
  s.name = r.text();
  s.value = r.fixed<double>();
  const auto ts = r.fixed<std::int64_t>();
  // Wraps like the encoder's input would; a hostile stamp must not be undefined behaviour.
  s.ts = s.explicit_ts ? ts : static_cast<TimeNs>(static_cast<std::uint64_t>(ts) + slot);
  if (flags & kHasRate) s.rate = r.fixed<double>();
  if (flags & kHasUnit) readUnit(r, s.unit);
  if (flags & kHasMeta) readMeta(r, s.meta);
  if (flags & kHasData) s.data = r.text();
}

// A sample takes this many bytes at least.
constexpr std::size_t kMinSample = 2 + 1 + 16;

}  // namespace

std::size_t encodedSize(const Metrics& m) {
  std::size_t n = 4 + varintSize(m.dims.size()) + varintSize(m.sampleCount());
  for (const auto& [name, value] : m.dims) n += textSize(name) + textSize(value);
  if (m.timestamp_format != kDefaultTimestampFormat) n += textSize(m.timestamp_format);
  if (m.serialized_at) n += textSize(*m.serialized_at);
  for (const auto* list : {&m.counters, &m.timers, &m.extra}) {
    for (const Sample& s : *list) n += sampleSize(s);
  }
  return n;
}

void encodeMetrics(const Metrics& m, std::uint16_t slot, char* out) {
  ByteWriter w(out);
  unsigned flags = 0;
  if (m.timestamp_format != kDefaultTimestampFormat) flags |= kHasFormat;
  if (m.serialized_at) flags |= kHasSerializedAt;
  w.fixed(kMetricsBinaryVersion);
  w.fixed(static_cast<std::uint8_t>(flags));
  w.fixed(slot);
  w.varint(m.sampleCount());
  w.varint(m.dims.size());
  for (const auto& [name, value] : m.dims) {
    w.text(name);
    w.text(value);
  }
  if (flags & kHasFormat) w.text(m.timestamp_format);
  if (flags & kHasSerializedAt) w.text(*m.serialized_at);
  for (const auto* list : {&m.counters, &m.timers, &m.extra}) {
    for (const Sample& s : *list) writeSample(w, s);
  }
}

std::string encodeMetrics(const Metrics& m, std::uint16_t slot) {
  std::string out(encodedSize(m), '\0');
  encodeMetrics(m, slot, out.data());
  return out;
}

Result<void> decodeMetrics(std::string_view payload, Metrics& out) {
  out.dims.clear();
  out.counters.clear();
  out.timers.clear();
  out.extra.clear();
  out.timestamp_format = kDefaultTimestampFormat;
  out.serialized_at.reset();
  ByteReader r(payload);
  if (r.fixed<std::uint8_t>() != kMetricsBinaryVersion) {
    return Error(ErrorCode::kInvalid, "metrics payload of an unknown version");
  }
  const auto flags = r.fixed<std::uint8_t>();
  const auto slot = r.fixed<std::uint16_t>();
  const std::uint64_t samples = r.varint();
  const std::uint64_t dims = r.varint();
  // Counts are checked against the bytes that are there before anything is reserved for them.
  if (flags > (kHasFormat | kHasSerializedAt) || samples > r.left() / kMinSample ||
      dims > r.left() / 2) {
    r.fail();
  } else {
    out.dims.reserve(dims);
  }
  for (std::uint64_t i = 0; i < dims && r.ok(); ++i) {
    const std::string_view name = r.text();
    const std::string_view value = r.text();
    out.dims.emplace_back(name, value);
  }
  if (flags & kHasFormat) out.timestamp_format = r.text();
  if (flags & kHasSerializedAt) out.serialized_at = std::string(r.text());
  for (std::uint64_t i = 0; i < samples && r.ok(); ++i) readSample(r, slot, out);
  if (!r.ok() || r.left() != 0) {
    return Error(ErrorCode::kInvalid, "metrics payload is damaged");
  }
  return {};
}

std::size_t peekSampleCount(std::string_view payload) {
  ByteReader r(payload);
  if (r.fixed<std::uint8_t>() != kMetricsBinaryVersion) return 0;
  r.skip(3);
  const std::uint64_t n = r.varint();
  return r.ok() && n <= r.left() / kMinSample ? n : 0;
}

}  // namespace godwit::metrics
