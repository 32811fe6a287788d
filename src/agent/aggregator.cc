#include "agent/aggregator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "agent/raw_bytes.h"

namespace godwit::agent {
namespace {

constexpr char kField = '\x1f';  // between name and tags in a key
constexpr char kValue = '\x1e';  // between a tag's key and value
constexpr std::size_t kFirstAliases = 1u << 12;
constexpr std::size_t kMostAliases = 1u << 18;
constexpr std::size_t kMaxEvents = 1000;            // in one window
constexpr std::size_t kMaxOverflowSeries = 10'000;  // beyond: one for all names
constexpr std::size_t kMaxOffenders = 1000;
constexpr std::string_view kOverflowTag = "godwit_overflow";
constexpr std::string_view kOverflowName = "godwit.overflow";

std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  __extension__ using Wide = unsigned __int128;
  Wide m = static_cast<Wide>(h ^ v) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::uint64_t>(m) ^ static_cast<std::uint64_t>(m >> 64);
}

std::uint64_t hashBytes(std::string_view s, std::uint64_t h) {
  h = mix(h, s.size() + 0x51ed270b);
  while (s.size() >= 8) {
    std::uint64_t v;
    std::memcpy(&v, s.data(), 8);
    h = mix(h, v);
    s.remove_prefix(8);
  }
  std::uint64_t v = 0;
  if (!s.empty()) std::memcpy(&v, s.data(), s.size());
  return mix(h, v + 1);
}

void putText(std::string& out, std::string_view s) {
  put(out, static_cast<std::uint32_t>(s.size()));
  out += s;
}
class Reader {
 public:
  explicit Reader(std::string_view s) : s_(s) {}
  template <class T>
  T get() {
    T v{};
    if (s_.size() < sizeof v) {
      ok_ = false;
      s_ = {};
      return v;
    }
    std::memcpy(&v, s_.data(), sizeof v);
    s_.remove_prefix(sizeof v);
    return v;
  }
  std::string_view text() {
    auto n = get<std::uint32_t>();
    if (n > s_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view t = s_.substr(0, n);
    s_.remove_prefix(n);
    return t;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && s_.empty(); }

 private:
  std::string_view s_;
  bool ok_ = true;
};

}  // namespace

// ---- Distinct ----

void Distinct::add(std::string_view member) { addHash(mix(hashBytes(member, 0x5e7), 0x1234567)); }

void Distinct::addHash(std::uint64_t h) {
  if (registers_.empty()) {
    exact_.insert(h);
    if (exact_.size() <= kExact) return;
    registers_.assign(4096, 0);
    auto all = std::move(exact_);
    exact_.clear();
    for (std::uint64_t e : all) addHash(e);
    return;
  }
  std::size_t slot = h >> 52;
  auto rank = static_cast<std::uint8_t>(std::countl_zero((h << 12) | 0x800) + 1);
  registers_[slot] = std::max(registers_[slot], rank);
}

double Distinct::count() const {
  if (registers_.empty()) return static_cast<double>(exact_.size());
  double sum = 0;
  int zeros = 0;
  for (std::uint8_t r : registers_) {
    sum += std::ldexp(1.0, -r);
    zeros += r == 0;
  }
  constexpr double m = 4096;
  double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
  if (estimate <= 2.5 * m && zeros > 0) estimate = m * std::log(m / zeros);
  return std::round(estimate);
}

void Distinct::appendTo(std::string& out) const {
  put(out, static_cast<std::uint8_t>(registers_.empty() ? 0 : 1));
  if (registers_.empty()) {
    for (std::uint64_t h : exact_) put(out, h);
  } else {
    out.append(reinterpret_cast<const char*>(registers_.data()), registers_.size());
  }
}

std::optional<Distinct> Distinct::parse(std::string_view bytes) {
  Distinct d;
  if (bytes.empty()) return std::nullopt;
  bool dense = bytes[0] == 1;
  bytes.remove_prefix(1);
  if (dense) {
    if (bytes.size() != 4096) return std::nullopt;
    d.registers_.assign(bytes.begin(), bytes.end());
    return d;
  }
  if (bytes.size() % 8 != 0 || bytes.size() / 8 > kExact) return std::nullopt;
  for (; !bytes.empty(); bytes.remove_prefix(8)) {
    std::uint64_t h;
    std::memcpy(&h, bytes.data(), 8);
    d.exact_.insert(h);
  }
  return d;
}

// ---- Aggregator ----

Aggregator::Aggregator(AggregatorOptions options)
    : options_(std::move(options)), parser_(options_.statsd) {}

std::int64_t Aggregator::windowOf(std::int64_t ts_ns) const {
  std::int64_t w = ts_ns / options_.interval_ns;
  return ts_ns % options_.interval_ns < 0 ? w - 1 : w;
}

void Aggregator::add(std::int64_t window, std::string_view datagram) {
  if (window_ == kNone) window_ = window;
  std::size_t lines = parser_.parse(
      datagram, line_, [&](const StatsdLine& l) { addLine(l); },
      [&](StatsdBad why, std::string_view) { ++counts_.bad[static_cast<std::size_t>(why)]; });
  counts_.lines += lines;
}

Aggregator::Kind Aggregator::kindOf(StatsdType type) {
  switch (type) {
    case StatsdType::kCounter:
      return Kind::kCounter;
    case StatsdType::kTimer:
      return Kind::kTimer;
    case StatsdType::kHistogram:
    case StatsdType::kDistribution:
      return Kind::kHistogram;
    case StatsdType::kSet:
      return Kind::kSet;
    default:
      return Kind::kGauge;
  }
}

void Aggregator::addLine(const StatsdLine& line) {
  ++counts_.good;
  if (line.type == StatsdType::kEvent || line.type == StatsdType::kServiceCheck) {
    addEvent(line);
    return;
  }
  Series* s = find(line);
  switch (s->kind) {
    case Kind::kCounter:
      for (const auto& v : line.values) s->value += v.number / line.rate;
      break;
    case Kind::kGauge:
      for (const auto& v : line.values) {
        s->value = v.relative ? s->value + v.number : v.number;
      }
      s->known = true;
      break;
    case Kind::kTimer:
    case Kind::kHistogram:
      if (!s->sketch) s->sketch = std::make_unique<metrics::Sketch>();
      for (const auto& v : line.values) s->sketch->add(v.number, 1 / line.rate);
      break;
    case Kind::kSet:
      if (!s->members) s->members = std::make_unique<Distinct>();
      s->members->add(line.member);
      break;
  }
}

void Aggregator::addEvent(const StatsdLine& line) {
  if (events_.size() >= kMaxEvents) {
    ++counts_.events_dropped;
    return;
  }
  metrics::Metrics m;
  tags_.clear();
  counts_.tags_cut += parser_.splitTags(line, tags_);
  for (const auto& [k, v] : tags_) m.dims.emplace_back(k, v);
  metrics::Sample s;
  s.name = options_.prefix + std::string(line.name);
  bool check = line.type == StatsdType::kServiceCheck;
  s.kind = check ? metrics::Kind::ServiceCheck : metrics::Kind::Event;
  s.explicit_ts = true;
  // Distinct instants: equal ones would overwrite each other in a time series database.
  s.ts = window_ * options_.interval_ns + static_cast<std::int64_t>(events_.size());
  if (check) s.value = line.values.front().number;
  s.data = line.member;
  m.extra.push_back(std::move(s));
  events_.push_back(std::move(m));
}

Aggregator::Series* Aggregator::find(const StatsdLine& line) {
  if (line.has_time) return findSlow(line);
  std::uint64_t h = hashBytes(line.name, static_cast<std::uint64_t>(kindOf(line.type)));
  if (!line.inline_tags.empty()) h = hashBytes(line.inline_tags, h);
  if (!line.tags.empty()) h = hashBytes(line.tags, h);
  if (!line.container.empty()) h = hashBytes(line.container, h + 1);
  // Grows with the series seen; what is forgotten on the way is found again the slow way.
  if (aliases_.size() < kMostAliases && touched_.size() * 2 >= aliases_.size()) {
    std::size_t size = aliases_.empty() ? kFirstAliases : aliases_.size() * 4;
    aliases_.clear();
    aliases_.resize(size);
  }
  Alias& a = aliases_[h & (aliases_.size() - 1)];
  auto same = [&] {
    std::string_view raw(a.raw.get(), a.size);
    std::size_t n =
        line.name.size() + line.inline_tags.size() + line.tags.size() + line.container.size() + 3;
    if (raw.size() != n) return false;
    auto take = [&](std::string_view part) {
      bool equal = raw.substr(0, part.size()) == part;
      raw.remove_prefix(part.size());
      return equal;
    };
    return take(line.name) && take("|") && take(line.inline_tags) && take("|") && take(line.tags) &&
           take("|") && take(line.container);
  };
  if (a.series && a.hash == h && a.series->kind == kindOf(line.type) && same()) {
    Series* s = a.series;
    return s->touched == window_ ? s : admit(s);
  }
  Series* s = findSlow(line);
  if (!s->name) return s;  // an overflow series: which one depends on the window
  a.hash = h;
  a.series = s;
  std::string raw(line.name);
  raw += '|';
  raw += line.inline_tags;
  raw += '|';
  raw += line.tags;
  raw += '|';
  raw += line.container;
  a.raw = std::make_unique_for_overwrite<char[]>(raw.size());
  std::memcpy(a.raw.get(), raw.data(), raw.size());
  a.size = static_cast<std::uint32_t>(raw.size());
  return s;
}

void Aggregator::makeKey(Kind kind, const StatsdLine& line, std::string& key, std::string& name) {
  tags_.clear();
  counts_.tags_cut += parser_.splitTags(line, tags_);
  name = options_.prefix;
  std::vector<std::string_view> extra;
  if (options_.kinto_names) {
    // "a.b.method.get" -> "a.b" with method=get. Values hold no dot, so the rest stays in the name.
    std::string_view rest = line.name;
    bool first = true;
    while (!rest.empty()) {
      std::size_t n = rest.find('.');
      std::string_view part = rest.substr(0, n);
      std::string_view after =
          n == std::string_view::npos ? std::string_view{} : rest.substr(n + 1);
      if (!first && !after.empty() && (part == "method" || part == "status")) {
        std::size_t e = after.find('.');
        tags_.emplace_back(part, after.substr(0, e));
        rest = e == std::string_view::npos ? std::string_view{} : after.substr(e + 1);
        continue;
      }
      if (!first) name += '.';
      name += part;
      first = false;
      rest = after;
    }
  } else {
    name += line.name;
  }
  std::stable_sort(tags_.begin(), tags_.end());
  tags_.erase(std::unique(tags_.begin(), tags_.end()), tags_.end());
  key.assign(1, static_cast<char>(kind));
  key += line.has_time ? std::to_string(line.unix_s) : std::string();
  key += kField;
  auto append = [&](std::string_view text) {
    for (char c : text) key += c == kField || c == kValue ? '_' : c;
  };
  append(name);
  for (const auto& [k, v] : tags_) {
    key += kField;
    append(k);
    key += kValue;
    append(v);
  }
}

Aggregator::Series* Aggregator::lookup(const std::string& key, Kind kind, std::string_view name,
                                       bool create) {
  auto it = series_.find(key);
  if (it != series_.end()) return it->second.get();
  if (!create) return nullptr;
  auto s = std::make_unique<Series>();
  s->key = key;
  s->kind = kind;
  if (!name.empty()) s->name = &names_[std::string(name)];
  Series* raw = s.get();
  series_.emplace(raw->key, std::move(s));
  return raw;
}

Aggregator::Series* Aggregator::findSlow(const StatsdLine& line) {
  Kind kind = kindOf(line.type);
  std::string key, name;
  makeKey(kind, line, key, name);
  Series* s = lookup(key, kind, name, false);
  if (s && s->touched == window_) return s;
  // Decided on this window's numbers alone, so that a replay decides the same.
  bool room = touched_.size() < options_.max_series;
  if (room) {
    auto it = names_.find(name);
    std::size_t used = it != names_.end() && it->second.window == window_ ? it->second.count : 0;
    room = used < options_.max_series_per_name;
  }
  if (!room) {
    ++counts_.overflowed;
    if (offenders_.size() < kMaxOffenders || offenders_.contains(name)) ++offenders_[name];
    return overflowFor(kind, name);
  }
  if (!s) s = lookup(key, kind, name, true);
  return admit(s);
}

// Counts a series into the open window.
Aggregator::Series* Aggregator::admit(Series* s) {
  if (s->touched == window_) return s;
  if (s->name) {
    bool fresh = s->name->window != window_;
    std::size_t used = fresh ? 0 : s->name->count;
    if (touched_.size() >= options_.max_series || used >= options_.max_series_per_name) {
      std::size_t begin = s->key.find(kField) + 1;
      std::string name = s->key.substr(begin, s->key.find(kField, begin) - begin);
      ++counts_.overflowed;
      if (offenders_.size() < kMaxOffenders || offenders_.contains(name)) ++offenders_[name];
      return overflowFor(s->kind, name);
    }
    s->name->window = window_;
    s->name->count = used + 1;
  }
  s->touched = window_;
  if (s->kind != Kind::kGauge) s->value = 0;
  if (s->sketch) s->sketch->clear();
  if (s->members) *s->members = Distinct();
  touched_.push_back(s);
  return s;
}

Aggregator::Series* Aggregator::overflowFor(Kind kind, std::string_view name) {
  std::string key(1, static_cast<char>(kind));
  key += kField;
  key += name;
  key += kField;
  key += kOverflowTag;
  key += kValue;
  key += "true";
  Series* s = lookup(key, kind, {}, false);
  if (!s || s->touched != window_) {
    if (overflow_series_ >= kMaxOverflowSeries && name != kOverflowName) {
      return overflowFor(kind, kOverflowName);
    }
    ++overflow_series_;
  }
  if (!s) s = lookup(key, kind, {}, true);
  return admit(s);
}

void Aggregator::toMetrics(const Series& s, metrics::Metrics& m) const {
  std::string_view rest = s.key;
  rest.remove_prefix(1);
  std::string_view time = rest.substr(0, rest.find(kField));
  rest.remove_prefix(time.size() + 1);
  metrics::Sample sample;
  std::size_t n = rest.find(kField);
  sample.name = rest.substr(0, n);
  while (n != std::string_view::npos) {
    rest.remove_prefix(n + 1);
    n = rest.find(kField);
    std::string_view tag = rest.substr(0, n);
    std::size_t v = tag.find(kValue);
    m.dims.emplace_back(tag.substr(0, v), tag.substr(v + 1));
  }
  sample.explicit_ts = true;
  sample.ts = time.empty() ? window_ * options_.interval_ns
                           : std::strtoll(std::string(time).c_str(), nullptr, 10) * 1'000'000'000;
  switch (s.kind) {
    case Kind::kCounter:
      sample.kind = metrics::Kind::Counter;
      sample.value = s.value;
      sample.meta.emplace_back("rate", s.value / (static_cast<double>(options_.interval_ns) / 1e9));
      m.counters.push_back(std::move(sample));
      return;
    case Kind::kGauge:
      sample.kind = metrics::Kind::Gauge;
      sample.value = s.value;
      break;
    case Kind::kTimer:
    case Kind::kHistogram:
      sample.kind = metrics::Kind::Sketch;
      if (s.kind == Kind::kTimer) sample.unit = metrics::Milliseconds;
      if (s.sketch) {
        sample.value = s.sketch->sum();
        s.sketch->appendTo(sample.data);
      }
      break;
    case Kind::kSet:
      sample.kind = metrics::Kind::Gauge;
      sample.value = s.members ? s.members->count() : 0;
      break;
  }
  m.extra.push_back(std::move(sample));
}

std::vector<Aggregator::Series*> Aggregator::ordered() {
  std::vector<Series*> all = touched_;
  std::sort(all.begin(), all.end(), [](Series* a, Series* b) { return a->key < b->key; });
  return all;
}

void Aggregator::finishWindow(std::int64_t next) {
  window_ = next;
  touched_.clear();
  events_.clear();
  overflow_series_ = 0;
  evict();
}

// Above half of what a window may hold nothing is kept over; gauges are state, not cache, until
// their time is up.
void Aggregator::evict() {
  std::int64_t ttl = std::max<std::int64_t>(1, options_.gauge_ttl_ns / options_.interval_ns);
  bool full = series_.size() > options_.max_series / 2;
  std::int64_t hour = std::max<std::int64_t>(1, 3'600'000'000'000 / options_.interval_ns);
  bool scan = full || (window_ != kNone && window_ % 16 == 0);
  if (!scan) return;
  bool any = false;
  for (auto it = series_.begin(); it != series_.end();) {
    Series& s = *it->second;
    bool state = s.kind == Kind::kGauge && s.known;
    std::int64_t age = window_ - s.touched;
    bool old = state ? age > ttl : (full || age > hour);
    bool timed = s.key[1] != kField;  // of an explicit instant: will not come again
    if (old || timed) {
      it = series_.erase(it);
      any = true;
    } else {
      ++it;
    }
  }
  // Gauges too have a bound: the longest silent ones go, all of one age at a time.
  if (series_.size() > 4 * options_.max_series) {
    series_.clear();
    any = true;
  }
  if (!any) return;
  for (Alias& a : aliases_) a = {};
  names_.clear();
  for (auto& [key, s] : series_) {
    if (!s->name) continue;
    std::size_t begin = key.find(kField) + 1;
    s->name = &names_[std::string(key.substr(begin, key.find(kField, begin) - begin))];
  }
}

std::vector<std::pair<std::string, std::uint64_t>> Aggregator::offenders() const {
  std::vector<std::pair<std::string, std::uint64_t>> top(offenders_.begin(), offenders_.end());
  std::sort(top.begin(), top.end(),
            [](const auto& a, const auto& b) { return a.second > b.second; });
  if (top.size() > 10) top.resize(10);
  return top;
}

void Aggregator::save(std::string& out) const {
  put(out, std::uint32_t{1});
  put(out, window_);
  put(out, counts_.lines);
  put(out, counts_.good);
  put(out, counts_.overflowed);
  put(out, counts_.tags_cut);
  put(out, counts_.events_dropped);
  put(out, counts_.points);
  put(out, static_cast<std::uint32_t>(counts_.bad.size()));
  for (auto v : counts_.bad) put(out, v);
  put(out, static_cast<std::uint64_t>(overflow_series_));
  std::uint64_t n = 0;
  std::size_t at = out.size();
  put(out, n);
  for (const auto& [key, s] : series_) {
    bool state = s->kind == Kind::kGauge && s->known;
    if (s->touched != window_ && !state) continue;
    ++n;
    putText(out, s->key);
    put(out, static_cast<std::uint8_t>(s->name != nullptr));
    put(out, s->touched);
    put(out, s->value);
    put(out, static_cast<std::uint8_t>(s->known));
    std::string data;
    if (s->sketch && s->touched == window_) s->sketch->appendTo(data);
    putText(out, data);
    data.clear();
    if (s->members && s->touched == window_) s->members->appendTo(data);
    putText(out, data);
  }
  std::memcpy(out.data() + at, &n, sizeof n);
  put(out, static_cast<std::uint32_t>(events_.size()));
  for (const metrics::Metrics& m : events_) {
    put(out, static_cast<std::uint32_t>(m.dims.size()));
    for (const auto& [k, v] : m.dims) {
      putText(out, k);
      putText(out, v);
    }
    const auto& s = m.extra.front();
    putText(out, s.name);
    put(out, static_cast<std::uint8_t>(s.kind));
    put(out, s.value);
    put(out, s.ts);
    putText(out, s.data);
  }
}

bool Aggregator::restore(std::string_view bytes) {
  *this = Aggregator(options_);
  Reader r(bytes);
  if (r.get<std::uint32_t>() != 1) return false;
  window_ = r.get<std::int64_t>();
  counts_.lines = r.get<std::uint64_t>();
  counts_.good = r.get<std::uint64_t>();
  counts_.overflowed = r.get<std::uint64_t>();
  counts_.tags_cut = r.get<std::uint64_t>();
  counts_.events_dropped = r.get<std::uint64_t>();
  counts_.points = r.get<std::uint64_t>();
  auto bad = r.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < bad && r.ok(); ++i) {
    auto v = r.get<std::uint64_t>();
    if (i < counts_.bad.size()) counts_.bad[i] = v;
  }
  overflow_series_ = r.get<std::uint64_t>();
  auto n = r.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < n && r.ok(); ++i) {
    std::string key(r.text());
    bool named = r.get<std::uint8_t>() != 0;
    if (key.size() < 2) break;
    std::size_t begin = key.find(kField) + 1;
    std::string name = key.substr(begin, key.find(kField, begin) - begin);
    Series* s = lookup(key, static_cast<Kind>(key[0]), named ? name : std::string(), true);
    s->touched = r.get<std::int64_t>();
    s->value = r.get<double>();
    s->known = r.get<std::uint8_t>() != 0;
    std::string_view sketch = r.text();
    if (!sketch.empty()) {
      if (auto parsed = metrics::Sketch::parse(sketch)) {
        s->sketch = std::make_unique<metrics::Sketch>(std::move(*parsed));
      }
    }
    std::string_view members = r.text();
    if (!members.empty()) {
      if (auto parsed = Distinct::parse(members)) {
        s->members = std::make_unique<Distinct>(std::move(*parsed));
      }
    }
    if (s->touched == window_ && window_ != kNone) {
      touched_.push_back(s);
      if (s->name) {
        s->name->count = s->name->window == window_ ? s->name->count + 1 : 1;
        s->name->window = window_;
      }
    }
  }
  auto events = r.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < events && r.ok(); ++i) {
    metrics::Metrics m;
    auto dims = r.get<std::uint32_t>();
    for (std::uint32_t d = 0; d < dims && r.ok(); ++d) {
      std::string k(r.text());
      m.dims.emplace_back(std::move(k), r.text());
    }
    metrics::Sample s;
    s.name = r.text();
    s.kind = static_cast<metrics::Kind>(r.get<std::uint8_t>());
    s.value = r.get<double>();
    s.ts = r.get<std::int64_t>();
    s.explicit_ts = true;
    s.data = r.text();
    m.extra.push_back(std::move(s));
    events_.push_back(std::move(m));
  }
  if (r.done()) return true;
  *this = Aggregator(options_);
  return false;
}

}  // namespace godwit::agent
