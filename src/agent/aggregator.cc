#include "agent/aggregator.h"

#include <algorithm>
#include <cstring>

#include "agent/byte_hash.h"
#include "agent/series_key.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kFirstAliases = 1u << 12;
constexpr std::size_t kMostAliases = 1u << 18;
constexpr std::size_t kMaxEvents = 1000;            // in one window
constexpr std::size_t kMaxOverflowSeries = 10'000;  // beyond: one for all names
constexpr std::size_t kMaxOffenders = 1000;
constexpr std::string_view kOverflowTag = "godwit_overflow";
constexpr std::string_view kOverflowName = "godwit.overflow";

}  // namespace

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

// What the line is called: prefix and, with the preset, without what goes into tags.
std::string Aggregator::nameOf(const StatsdLine& line) {
  std::string name = options_.prefix;
  if (!options_.kinto_names) {
    name += line.name;
    return name;
  }
  // "a.b.method.get" -> "a.b" with method=get. Values hold no dot, so the rest stays in the name.
  std::string_view rest = line.name;
  bool first = true;
  while (!rest.empty()) {
    std::size_t n = rest.find('.');
    std::string_view part = rest.substr(0, n);
    std::string_view after = n == std::string_view::npos ? std::string_view{} : rest.substr(n + 1);
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
  return name;
}

void Aggregator::makeKey(Kind kind, const StatsdLine& line, std::string& key, std::string& name) {
  tags_.clear();
  counts_.tags_cut += parser_.splitTags(line, tags_);
  name = nameOf(line);
  std::stable_sort(tags_.begin(), tags_.end());
  tags_.erase(std::unique(tags_.begin(), tags_.end()), tags_.end());
  std::string time = line.has_time ? std::to_string(line.unix_s) : std::string();
  key = seriesKey(static_cast<char>(kind), time, name, tags_);
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
      std::string name(nameInKey(s->key));
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
  std::string key = seriesKey(static_cast<char>(kind), {}, name, {{kOverflowTag, "true"}});
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
  metrics::Sample sample;
  std::string_view time = splitSeriesKey(s.key, sample.name, m.dims);
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
    bool timed = keyHasTime(s.key);  // of an explicit instant: will not come again
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
    s->name = &names_[std::string(nameInKey(key))];
  }
}

std::vector<std::pair<std::string, std::uint64_t>> Aggregator::offenders() const {
  std::vector<std::pair<std::string, std::uint64_t>> top(offenders_.begin(), offenders_.end());
  std::sort(top.begin(), top.end(),
            [](const auto& a, const auto& b) { return a.second > b.second; });
  if (top.size() > 10) top.resize(10);
  return top;
}

}  // namespace godwit::agent
