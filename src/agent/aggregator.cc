#include "agent/aggregator.h"

#include <algorithm>

#include "agent/series_key.h"

namespace godwit::agent {
namespace {

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
  // In bunches, so that the memory a line leads to is on its way while others are looked at.
  while (!datagram.empty()) {
    std::size_t n = 0;
    while (n < bunch_.size() && !datagram.empty()) {
      Line& line = bunch_[n];
      line.cut = cutLine(datagram);
      if (line.cut.line.empty() || line.cut.line == "\r") continue;
      line.hash = LineCache::hash(line.cut);
      lines_.prefetch(line.hash);
      ++n;
    }
    counts_.lines += n;
    for (std::size_t i = 0; i < n; ++i) lines_.prefetchEntry(bunch_[i].hash);
    for (std::size_t i = 0; i < n; ++i) {
      if (!addKnown(bunch_[i])) addUnknown(bunch_[i]);
    }
  }
}

// A line as was seen before but for its value. False: nothing has been done.
bool Aggregator::addKnown(const Line& line) {
  const LineCut& cut = line.cut;
  const LineCache::Entry* known = lines_.find(cut, line.hash);
  if (!known) return false;
  const LineCache::Entry e = *known;
  StatsdLine::Value v{0, false};
  if (e.type == StatsdType::kSet) {
    if (cut.value.empty()) return false;
  } else if (parser_.parseValue(cut.value, e.type, v) != StatsdBad::kNone) {
    return false;  // bad, or several values
  }
  Series* s = e.series->touched == window_ ? e.series : admit(e.series);
  ++counts_.good;
  counts_.tags_cut += e.tags_cut;
  e.type == StatsdType::kSet ? addMember(*s, cut.value) : addValue(*s, v, e.rate);
  return true;
}

void Aggregator::addUnknown(const Line& line) {
  if (StatsdBad why = parser_.parseLine(line.cut.line, line_); why != StatsdBad::kNone) {
    ++counts_.bad[static_cast<std::size_t>(why)];
    return;
  }
  ++counts_.good;
  if (line_.type == StatsdType::kEvent || line_.type == StatsdType::kServiceCheck) {
    addEvent(line_);
    return;
  }
  std::size_t tags_cut = 0;
  Series* s = find(line_, tags_cut);
  counts_.tags_cut += tags_cut;
  if (line_.type == StatsdType::kSet) addMember(*s, line_.member);
  for (const auto& v : line_.values) addValue(*s, v, line_.rate);
  // Which overflow series a line goes into depends on the window, and an instant does not come
  // again.
  if (line.cut.sections.empty() || line_.has_time || !s->name) return;
  lines_.makeRoom(touched_.size());
  lines_.remember(line.cut, line.hash,
                  {s, line_.rate, static_cast<std::uint16_t>(tags_cut), line_.type});
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

void Aggregator::addValue(Series& s, const StatsdLine::Value& v, double rate) {
  switch (s.kind) {
    case Kind::kCounter:
      s.value += rate == 1 ? v.number : v.number / rate;
      break;
    case Kind::kGauge:
      s.value = v.relative ? s.value + v.number : v.number;
      s.known = true;
      break;
    case Kind::kTimer:
    case Kind::kHistogram:
      if (!s.sketch) s.sketch = std::make_unique<metrics::Sketch>();
      s.sketch->add(v.number, 1 / rate);
      break;
    case Kind::kSet:
      break;
  }
}

void Aggregator::addMember(Series& s, std::string_view member) {
  if (!s.members) s.members = std::make_unique<Distinct>();
  s.members->add(member);
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

// Returns how many tags were cut.
std::size_t Aggregator::makeKey(Kind kind, const StatsdLine& line, std::string& key,
                                std::string& name) {
  tags_.clear();
  const std::size_t cut = parser_.splitTags(line, tags_);
  name = nameOf(line);
  std::stable_sort(tags_.begin(), tags_.end());
  tags_.erase(std::unique(tags_.begin(), tags_.end()), tags_.end());
  std::string time = line.has_time ? std::to_string(line.unix_s) : std::string();
  key = seriesKey(static_cast<char>(kind), time, name, tags_);
  return cut;
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

Aggregator::Series* Aggregator::find(const StatsdLine& line, std::size_t& tags_cut) {
  Kind kind = kindOf(line.type);
  std::string key, name;
  tags_cut = makeKey(kind, line, key, name);
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
  lines_.clear();
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
