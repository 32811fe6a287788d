#include "agent/otlp_encoder.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include "base/log.h"

namespace godwit::agent {
namespace {

// ---- protobuf: varint, fixed64 and length-delimited fields are all that is needed ----

void varint(std::string& out, std::uint64_t v) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}
void tag(std::string& out, unsigned field, unsigned wire) { varint(out, field << 3 | wire); }
void fieldVarint(std::string& out, unsigned field, std::uint64_t v) {
  tag(out, field, 0);
  varint(out, v);
}
void fieldSint(std::string& out, unsigned field, std::int64_t v) {
  fieldVarint(out, field,
              (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
}
void fieldFixed(std::string& out, unsigned field, std::uint64_t v) {
  tag(out, field, 1);
  char buf[8];
  std::memcpy(buf, &v, 8);  // little endian, asserted by the spool's headers
  out.append(buf, 8);
}
void fieldDouble(std::string& out, unsigned field, double v) {
  fieldFixed(out, field, std::bit_cast<std::uint64_t>(v));
}
void fieldBytes(std::string& out, unsigned field, std::string_view v) {
  tag(out, field, 2);
  varint(out, v.size());
  out += v;
}

std::string keyValue(std::string_view k, std::string_view v) {
  std::string any, out;
  fieldBytes(any, 1, v);
  fieldBytes(out, 1, k);
  fieldBytes(out, 2, any);
  return out;
}

// Buckets (base^i, base^(i+1)] with base = 2^(2^-scale); dense from the lowest to the highest.
struct Buckets {
  std::int32_t offset = 0;
  std::vector<std::uint64_t> counts;
};
Buckets bucketsOf(const std::vector<metrics::Sketch::Bin>& bins, double scale) {
  std::map<std::int32_t, double> sums;
  const double per_log2 = static_cast<double>(1 << kOtlpScale);
  for (const auto& b : bins) {
    double v = metrics::Sketch::binValue(b.index) * scale;
    if (!(v > 0)) continue;
    sums[static_cast<std::int32_t>(std::ceil(std::log2(v) * per_log2)) - 1] += b.count;
  }
  Buckets out;
  if (sums.empty()) return out;
  out.offset = sums.begin()->first;
  out.counts.resize(static_cast<std::size_t>(sums.rbegin()->first - out.offset) + 1);
  for (const auto& [i, n] : sums) {
    out.counts[static_cast<std::size_t>(i - out.offset)] =
        static_cast<std::uint64_t>(std::llround(n));
  }
  return out;
}

std::string bucketsMessage(const Buckets& b) {
  std::string out, packed;
  fieldSint(out, 1, b.offset);
  for (auto n : b.counts) varint(packed, n);
  fieldBytes(out, 2, packed);
  return out;
}

struct Point {
  std::int64_t start = 0;
  std::int64_t time = 0;
  double value = 0;
  const metrics::Sketch* sketch = nullptr;
  double scale = 1;
};
Point pointOf(const CumulativeSeries& s, const OtlpOptions& o) {
  Point p;
  p.start = o.delta ? o.delta_start_ns : s.start_ns;
  p.time = std::max(o.now_ns, p.start);
  p.value = o.delta && s.kind == SeriesKind::kCounter ? s.value - s.sent_value : s.value;
  p.sketch = o.delta && s.unsent_sketch ? s.unsent_sketch.get() : s.sketch.get();
  p.scale = s.per_second > 0 ? 1 / s.per_second : 1;
  return p;
}

std::uint64_t wholeCount(const metrics::Sketch* k, const Buckets& a, const Buckets& b,
                         std::uint64_t zero) {
  (void)k;
  std::uint64_t n = zero;
  for (auto c : a.counts) n += c;
  for (auto c : b.counts) n += c;
  return n;  // the protocol wants count to equal the sum of all buckets
}

std::string numberPoint(const CumulativeSeries& s, const OtlpOptions& o) {
  Point p = pointOf(s, o);
  std::string out;
  if (s.kind != SeriesKind::kGauge) fieldFixed(out, 2, static_cast<std::uint64_t>(p.start));
  fieldFixed(out, 3, static_cast<std::uint64_t>(p.time));
  fieldDouble(out, 4, p.value);
  for (const auto& [k, v] : s.labels) fieldBytes(out, 7, keyValue(k, v));
  return out;
}

std::string histogramPoint(const CumulativeSeries& s, const OtlpOptions& o) {
  Point p = pointOf(s, o);
  std::string out;
  for (const auto& [k, v] : s.labels) fieldBytes(out, 1, keyValue(k, v));
  fieldFixed(out, 2, static_cast<std::uint64_t>(p.start));
  fieldFixed(out, 3, static_cast<std::uint64_t>(p.time));
  static const metrics::Sketch kEmpty;
  const metrics::Sketch& k = p.sketch ? *p.sketch : kEmpty;
  Buckets positive = bucketsOf(k.positiveBins(), p.scale);
  Buckets negative = bucketsOf(k.negativeBins(), p.scale);
  auto zero = static_cast<std::uint64_t>(std::llround(k.zeroCount()));
  fieldFixed(out, 4, wholeCount(&k, positive, negative, zero));
  fieldDouble(out, 5, k.sum() * p.scale);
  fieldSint(out, 6, kOtlpScale);
  fieldFixed(out, 7, zero);
  fieldBytes(out, 8, bucketsMessage(positive));
  if (!negative.counts.empty()) fieldBytes(out, 9, bucketsMessage(negative));
  fieldDouble(out, 12, k.min() * p.scale);
  fieldDouble(out, 13, k.max() * p.scale);
  return out;
}

bool sameMetric(const CumulativeSeries& a, const CumulativeSeries& b) {
  return a.name == b.name && a.kind == b.kind && a.per_second == b.per_second;
}

std::string metricMessage(std::span<CumulativeSeries* const> group, const OtlpOptions& o) {
  const CumulativeSeries& first = *group.front();
  std::string out, data;
  fieldBytes(out, 1, first.name);
  if (first.kind == SeriesKind::kTimer && first.per_second > 0) fieldBytes(out, 3, "s");
  for (const CumulativeSeries* s : group) {
    fieldBytes(data, 1, s->kind == SeriesKind::kTimer ? histogramPoint(*s, o) : numberPoint(*s, o));
  }
  std::uint64_t temporality = o.delta ? 1 : 2;
  switch (first.kind) {
    case SeriesKind::kGauge:
      fieldBytes(out, 5, data);
      break;
    case SeriesKind::kCounter:
      fieldVarint(data, 2, temporality);
      fieldVarint(data, 3, 1);
      fieldBytes(out, 7, data);
      break;
    case SeriesKind::kTimer:
      fieldVarint(data, 2, temporality);
      fieldBytes(out, 10, data);
      break;
  }
  return out;
}

}  // namespace

std::string encodeOtlp(std::span<CumulativeSeries* const> series, const OtlpOptions& o) {
  std::string resource, scope, scope_metrics, resource_metrics, out;
  fieldBytes(resource, 1, keyValue("service.name", o.service_name));
  if (!o.host_name.empty()) fieldBytes(resource, 1, keyValue("host.name", o.host_name));
  fieldBytes(resource, 1, keyValue("service.instance.id", o.instance_id));
  fieldBytes(scope, 1, "godwit-agent");
  fieldBytes(scope_metrics, 1, scope);
  for (std::size_t i = 0; i < series.size();) {
    std::size_t end = i + 1;
    while (end < series.size() && sameMetric(*series[i], *series[end])) ++end;
    fieldBytes(scope_metrics, 2, metricMessage(series.subspan(i, end - i), o));
    i = end;
  }
  fieldBytes(resource_metrics, 1, resource);
  fieldBytes(resource_metrics, 2, scope_metrics);
  fieldBytes(out, 1, resource_metrics);
  return out;
}

// ---- JSON: the same message in protobuf's JSON mapping ----

namespace {

void quoted(std::string& out, std::string_view s) { log::appendJsonString(out, s); }

void number(std::string& out, double v) {
  char buf[32];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  out.append(buf, r.ptr);
}

void attributes(std::string& out, const metrics::Dims& labels) {
  out += "\"attributes\":[";
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) out += ',';
    out += "{\"key\":";
    quoted(out, labels[i].first);
    out += ",\"value\":{\"stringValue\":";
    quoted(out, labels[i].second);
    out += "}}";
  }
  out += ']';
}

void bucketsJson(std::string& out, std::string_view name, const Buckets& b) {
  out += ",\"" + std::string(name) + "\":{\"offset\":" + std::to_string(b.offset) +
         ",\"bucketCounts\":[";
  for (std::size_t i = 0; i < b.counts.size(); ++i) {
    out += (i > 0 ? ",\"" : "\"") + std::to_string(b.counts[i]) + "\"";
  }
  out += "]}";
}

void pointJson(std::string& out, const CumulativeSeries& s, const OtlpOptions& o) {
  Point p = pointOf(s, o);
  out += '{';
  attributes(out, s.labels);
  if (s.kind != SeriesKind::kGauge) {
    out += ",\"startTimeUnixNano\":\"" + std::to_string(p.start) + "\"";
  }
  out += ",\"timeUnixNano\":\"" + std::to_string(p.time) + "\"";
  if (s.kind != SeriesKind::kTimer) {
    out += ",\"asDouble\":";
    number(out, p.value);
  } else {
    static const metrics::Sketch kEmpty;
    const metrics::Sketch& k = p.sketch ? *p.sketch : kEmpty;
    Buckets positive = bucketsOf(k.positiveBins(), p.scale);
    Buckets negative = bucketsOf(k.negativeBins(), p.scale);
    auto zero = static_cast<std::uint64_t>(std::llround(k.zeroCount()));
    out +=
        ",\"count\":\"" + std::to_string(wholeCount(&k, positive, negative, zero)) + "\",\"sum\":";
    number(out, k.sum() * p.scale);
    out += ",\"scale\":" + std::to_string(kOtlpScale) + ",\"zeroCount\":\"" + std::to_string(zero) +
           "\"";
    bucketsJson(out, "positive", positive);
    bucketsJson(out, "negative", negative);
    out += ",\"min\":";
    number(out, k.min() * p.scale);
    out += ",\"max\":";
    number(out, k.max() * p.scale);
  }
  out += '}';
}

}  // namespace

std::string encodeOtlpJson(std::span<CumulativeSeries* const> series, const OtlpOptions& o) {
  std::string out = "{\"resourceMetrics\":[{\"resource\":{";
  metrics::Dims resource{{"service.name", o.service_name}};
  if (!o.host_name.empty()) resource.emplace_back("host.name", o.host_name);
  resource.emplace_back("service.instance.id", o.instance_id);
  attributes(out, resource);
  out += "},\"scopeMetrics\":[{\"scope\":{\"name\":\"godwit-agent\"},\"metrics\":[";
  for (std::size_t i = 0; i < series.size();) {
    std::size_t end = i + 1;
    while (end < series.size() && sameMetric(*series[i], *series[end])) ++end;
    const CumulativeSeries& first = *series[i];
    out += i > 0 ? ",{\"name\":" : "{\"name\":";
    quoted(out, first.name);
    if (first.kind == SeriesKind::kTimer && first.per_second > 0) out += ",\"unit\":\"s\"";
    out += first.kind == SeriesKind::kGauge     ? ",\"gauge\":{\"dataPoints\":["
           : first.kind == SeriesKind::kCounter ? ",\"sum\":{\"dataPoints\":["
                                                : ",\"exponentialHistogram\":{\"dataPoints\":[";
    for (std::size_t k = i; k < end; ++k) {
      if (k > i) out += ',';
      pointJson(out, *series[k], o);
    }
    out += ']';
    if (first.kind != SeriesKind::kGauge) {
      out += std::string(",\"aggregationTemporality\":") + (o.delta ? "1" : "2");
    }
    if (first.kind == SeriesKind::kCounter) out += ",\"isMonotonic\":true";
    out += "}}";
    i = end;
  }
  return out + "]}]}]}";
}

namespace {

// Reads one field; false at the end or when damaged.
bool nextField(std::string_view& s, std::uint64_t& field, std::uint64_t& value,
               std::string_view& bytes) {
  auto number = [&](std::uint64_t& v) {
    v = 0;
    for (unsigned shift = 0; shift < 64 && !s.empty(); shift += 7) {
      auto b = static_cast<unsigned char>(s[0]);
      s.remove_prefix(1);
      v |= static_cast<std::uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) return true;
    }
    return false;
  };
  std::uint64_t key = 0;
  if (s.empty() || !number(key)) return false;
  field = key >> 3;
  bytes = {};
  value = 0;
  switch (key & 7) {
    case 0:
      return number(value);
    case 2: {
      std::uint64_t n = 0;
      if (!number(n) || n > s.size()) return false;
      bytes = s.substr(0, n);
      s.remove_prefix(n);
      return true;
    }
    case 1:
    case 5: {
      std::size_t n = (key & 7) == 1 ? 8 : 4;
      if (s.size() < n) return false;
      s.remove_prefix(n);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

std::int64_t otlpRejected(std::string_view response, std::string& message) {
  std::uint64_t field = 0, value = 0;
  std::string_view bytes;
  std::int64_t rejected = 0;
  while (nextField(response, field, value, bytes)) {
    if (field != 1) continue;
    std::string_view partial = bytes;
    while (nextField(partial, field, value, bytes)) {
      if (field == 1) rejected = static_cast<std::int64_t>(value);
      if (field == 2) message = bytes;
    }
  }
  return rejected;
}

}  // namespace godwit::agent
