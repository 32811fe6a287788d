#include "agent/series_store.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <tuple>

#include "agent/raw_bytes.h"

namespace godwit::agent {
namespace {

using metrics::Kind;

constexpr std::string_view kOverflowTag = "godwit_overflow";
constexpr std::string_view kOverflowName = "godwit_overflow";
constexpr std::size_t kMaxOverflowNames = 1000;

void putText(std::string& out, std::string_view s) {
  put(out, static_cast<std::uint32_t>(s.size()));
  out += s;
}
bool takeText(std::string_view& s, std::string& v) {
  std::uint32_t n = 0;
  if (!take(s, n) || n > s.size()) return false;
  v = s.substr(0, n);
  s.remove_prefix(n);
  return true;
}

std::string makeKey(SeriesKind kind, std::string_view name, const metrics::Dims& labels,
                    double per_second) {
  std::string key(1, static_cast<char>(kind));
  putText(key, name);
  for (const auto& [k, v] : labels) {
    putText(key, k);
    putText(key, v);
  }
  if (kind == SeriesKind::kTimer) put(key, per_second);
  return key;
}

}  // namespace

CumulativeSeries& SeriesStore::insert(std::string key, SeriesKind kind, std::string_view name,
                                      metrics::Dims labels, double per_second,
                                      std::int64_t log_ns) {
  auto s = std::make_unique<CumulativeSeries>();
  s->kind = kind;
  s->name = name;
  s->labels = std::move(labels);
  s->labels.shrink_to_fit();
  s->key = std::move(key);
  s->per_second = per_second;
  s->start_ns = log_ns;
  CumulativeSeries& ref = *s;
  series_.emplace(ref.key, std::move(s));
  ++per_name_[std::string(name)];
  return ref;
}

CumulativeSeries& SeriesStore::find(SeriesKind kind, const metrics::Dims& dims,
                                    std::string_view name, std::string_view host, double per_second,
                                    std::int64_t log_ns) {
  metrics::Dims labels;
  labels.reserve(dims.size() + 1);
  bool has_host = host.empty();
  for (const auto& d : dims) {
    has_host = has_host || d.first == "host";
    if (!d.first.empty() && !d.second.empty()) labels.push_back(d);
  }
  if (!has_host) labels.emplace_back("host", host);
  std::stable_sort(labels.begin(), labels.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string key = makeKey(kind, name, labels, per_second);
  if (auto it = series_.find(key); it != series_.end()) return *it->second;
  auto used = per_name_.find(std::string(name));
  bool room = series_.size() < limits_.series &&
              (used == per_name_.end() || used->second < limits_.per_name);
  if (room) return insert(std::move(key), kind, name, std::move(labels), per_second, log_ns);

  ++overflowed_;
  labels = {{std::string(kOverflowTag), "true"}};
  key = makeKey(kind, name, labels, per_second);
  if (auto it = series_.find(key); it != series_.end()) return *it->second;
  // Names have no bound either: at some point all of them share one series of each kind.
  if (series_.size() >= limits_.series + kMaxOverflowNames) {
    name = kOverflowName;
    key = makeKey(kind, name, labels, per_second);
    if (auto it = series_.find(key); it != series_.end()) return *it->second;
  }
  return insert(std::move(key), kind, name, std::move(labels), per_second, log_ns);
}

SeriesStore::Added SeriesStore::addGauge(const metrics::Dims& dims, std::string name, double value,
                                         std::int64_t ts, std::string_view host,
                                         std::int64_t log_ns) {
  metrics::Sample s;
  s.kind = Kind::Gauge;
  s.name = std::move(name);
  s.value = value;
  s.ts = ts;
  return add(dims, s, host, log_ns);
}

SeriesStore::Added SeriesStore::add(const metrics::Dims& dims, const metrics::Sample& sample,
                                    std::string_view host, std::int64_t log_ns) {
  if (sample.name.empty()) return Added::kEmptyName;
  if (!std::isfinite(sample.value)) return Added::kNotFinite;
  SeriesKind kind{};
  switch (sample.kind) {
    case Kind::Counter:
      kind = SeriesKind::kCounter;
      break;
    case Kind::Gauge:
    case Kind::GaugeDelta:
    case Kind::ServiceCheck:
      kind = SeriesKind::kGauge;
      break;
    case Kind::Timer:
    case Kind::Histogram:
    case Kind::Distribution:
    case Kind::Sketch:
      kind = SeriesKind::kTimer;
      break;
    case Kind::Set:
    case Kind::Event:
      return Added::kUnsupported;
  }
  std::optional<metrics::Sketch> incoming;
  if (sample.kind == Kind::Sketch) {
    incoming = metrics::Sketch::parse(sample.data);
    if (!incoming) return Added::kUnsupported;
  }
  bool timed = kind == SeriesKind::kTimer && !sample.unit.name.empty();
  CumulativeSeries& s =
      find(kind, dims, sample.name, host, timed ? sample.unit.per_second : 0, log_ns);
  double weight = sample.rate > 0 && sample.rate <= 1 ? 1 / sample.rate : 1;
  switch (kind) {
    case SeriesKind::kCounter:
      s.value += sample.value * weight;
      break;
    case SeriesKind::kGauge:
      if (sample.kind == Kind::GaugeDelta) {
        s.value += sample.value;
      } else if (sample.ts >= s.last_ns) {
        s.value = sample.value;
      }
      break;
    case SeriesKind::kTimer: {
      if (!s.sketch) s.sketch = std::make_unique<metrics::Sketch>();
      if (limits_.keep_deltas && !s.unsent_sketch) {
        s.unsent_sketch = std::make_unique<metrics::Sketch>();
      }
      for (metrics::Sketch* k : {s.sketch.get(), s.unsent_sketch.get()}) {
        if (!k) continue;
        if (incoming) {
          k->merge(*incoming);
        } else {
          k->add(sample.value, weight);
        }
      }
      break;
    }
  }
  s.last_ns = std::max(s.last_ns, sample.ts);
  s.seen_ns = log_ns;
  if (limits_.track_unsent) ++s.unsent;
  return Added::kYes;
}

std::vector<CumulativeSeries*> SeriesStore::all() {
  std::vector<CumulativeSeries*> out;
  out.reserve(series_.size());
  for (auto& [key, s] : series_) out.push_back(s.get());
  return out;
}

std::vector<CumulativeSeries*> SeriesStore::changed() {
  std::vector<CumulativeSeries*> out;
  for (auto& [key, s] : series_) {
    if (s->unsent > 0) out.push_back(s.get());
  }
  std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
    return std::tie(a->name, a->kind, a->per_second, a->labels) <
           std::tie(b->name, b->kind, b->per_second, b->labels);
  });
  return out;
}

void SeriesStore::markSent(CumulativeSeries& s) {
  s.unsent = 0;
  s.sent_value = s.value;
  if (s.unsent_sketch) s.unsent_sketch->clear();
}

void SeriesStore::expire(std::int64_t log_ns) {
  if (limits_.ttl_ns <= 0) return;
  for (auto it = series_.begin(); it != series_.end();) {
    CumulativeSeries& s = *it->second;
    if (log_ns - s.seen_ns <= limits_.ttl_ns || s.unsent > 0) {
      ++it;
      continue;
    }
    auto used = per_name_.find(s.name);
    if (used != per_name_.end() && --used->second == 0) per_name_.erase(used);
    it = series_.erase(it);
  }
}

void SeriesStore::save(std::string& out) const {
  put(out, std::uint32_t{1});
  put(out, overflowed_);
  put(out, static_cast<std::uint64_t>(series_.size()));
  for (const auto& [key, s] : series_) {
    put(out, static_cast<std::uint8_t>(s->kind));
    putText(out, s->name);
    put(out, static_cast<std::uint32_t>(s->labels.size()));
    for (const auto& [k, v] : s->labels) {
      putText(out, k);
      putText(out, v);
    }
    put(out, s->per_second);
    put(out, s->value);
    put(out, s->start_ns);
    put(out, s->last_ns);
    put(out, s->seen_ns);
    put(out, s->unsent);
    put(out, s->sent_value);
    for (const auto* k : {s->sketch.get(), s->unsent_sketch.get()}) {
      std::string bytes;
      if (k) k->appendTo(bytes);
      putText(out, bytes);
    }
  }
}

bool SeriesStore::restore(std::string_view in) {
  series_.clear();
  per_name_.clear();
  std::uint32_t version = 0;
  std::uint64_t n = 0;
  bool ok = take(in, version) && version == 1 && take(in, overflowed_) && take(in, n);
  for (std::uint64_t i = 0; ok && i < n; ++i) {
    std::uint8_t kind = 0;
    std::string name, k, v;
    std::uint32_t labels = 0;
    metrics::Dims dims;
    ok = take(in, kind) && takeText(in, name) && take(in, labels);
    for (std::uint32_t d = 0; ok && d < labels; ++d) {
      ok = takeText(in, k) && takeText(in, v);
      dims.emplace_back(k, v);
    }
    double per_second = 0;
    if (!ok || !take(in, per_second)) return false;
    auto series_kind = static_cast<SeriesKind>(kind);
    std::string key = makeKey(series_kind, name, dims, per_second);
    CumulativeSeries& s = insert(std::move(key), series_kind, name, std::move(dims), per_second, 0);
    ok = take(in, s.value) && take(in, s.start_ns) && take(in, s.last_ns) && take(in, s.seen_ns) &&
         take(in, s.unsent) && take(in, s.sent_value);
    for (auto* sketch : {&s.sketch, &s.unsent_sketch}) {
      std::string bytes;
      ok = ok && takeText(in, bytes);
      if (bytes.empty()) continue;
      auto parsed = metrics::Sketch::parse(bytes);
      if (parsed) *sketch = std::make_unique<metrics::Sketch>(std::move(*parsed));
    }
  }
  return ok && in.empty();
}

}  // namespace godwit::agent
