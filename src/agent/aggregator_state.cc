// The aggregator's part of agent/checkpoint: docs/formats/agent-checkpoint.md.
#include "agent/aggregator.h"

#include <cstring>

#include "agent/raw_bytes.h"
#include "agent/series_key.h"

namespace godwit::agent {
namespace {

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
    std::string name(nameInKey(key));
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
