#include "kinto/plugins/prometheus_registry.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/clock.h"
#include "base/text.h"

namespace godwit::kinto {
namespace {

std::string cleanName(std::string_view s) {
  std::string out;
  for (char c : s) {
    bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':';
    out += good ? c : '_';
  }
  return out;
}

void appendEscaped(std::string& out, std::string_view s) {
  for (char c : s) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

// As Python prints a float: "1.0", "0.005", "1e+16".
void appendNumber(std::string& out, double d) {
  if (std::isinf(d)) {
    out += d > 0 ? "+Inf" : "-Inf";
    return;
  }
  char buf[40];
  auto r = std::to_chars(buf, buf + sizeof buf, d);
  std::string_view s(buf, static_cast<std::size_t>(r.ptr - buf));
  out += s;
  if (s.find_first_of(".en") == s.npos) out += ".0";
}

// name="value",... by name; also the key of a series.
std::string labelText(Labels labels) {
  std::vector<Label> sorted(labels.begin(), labels.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Label& a, const Label& b) { return a.name < b.name; });
  std::string out;
  for (const Label& l : sorted) {
    if (!out.empty()) out += ',';
    out += cleanName(l.name);
    out += "=\"";
    appendEscaped(out, l.value);
    out += '"';
  }
  return out;
}

void sampleLine(std::string& out, std::string_view name, std::string_view labels, double value,
                std::string_view more = {}) {
  out += name;
  if (!labels.empty() || !more.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !more.empty()) out += ',';
    out += more;
    out += '}';
  }
  out += ' ';
  appendNumber(out, value);
  out += '\n';
}

void header(std::string& out, const std::string& name, std::string_view help, std::string_view of,
            std::string_view type) {
  out += "# HELP " + name + " ";
  out += help;
  out += " of ";
  out += of;
  out += "\n# TYPE " + name + " ";
  out += type;
  out += '\n';
}

}  // namespace

struct PrometheusRegistry::Series {
  double sum = 0;
  double count = 0;
  std::vector<double> buckets;  // not cumulative
  double created = 0;
};

struct PrometheusRegistry::Family {
  Kind kind = Kind::kCounter;
  std::string name;
  std::map<std::string, Series> series;  // by label text
};

PrometheusRegistry::PrometheusRegistry(Options options) : options_(std::move(options)) {
  std::string prefix = lower(cleanName(options_.prefix));
  std::erase(prefix, '_');
  options_.prefix = prefix.empty() ? "" : prefix + "_";
  for (std::string& name : options_.disabled) {
    name = cleanName(name);
    if (!options_.prefix.empty() && name.starts_with(options_.prefix))
      name.erase(0, options_.prefix.size());
  }
  std::sort(options_.buckets.begin(), options_.buckets.end());
  while (!options_.buckets.empty() && std::isinf(options_.buckets.back()))
    options_.buckets.pop_back();
}

PrometheusRegistry::~PrometheusRegistry() = default;

PrometheusRegistry::Series* PrometheusRegistry::series(std::string_view key, Kind kind,
                                                       Labels labels) {
  auto family = families_.find(key);
  if (family == families_.end()) {
    std::string clean = cleanName(key);
    auto made = std::make_unique<Family>();
    made->kind = kind;
    bool disabled = std::find(options_.disabled.begin(), options_.disabled.end(), clean) !=
                    options_.disabled.end();
    made->name = disabled ? "" : options_.prefix + clean;
    family = families_.emplace(std::string(key), std::move(made)).first;
  }
  Family& f = *family->second;
  if (f.name.empty() || f.kind != kind) return nullptr;
  std::string text = labelText(labels);
  auto it = f.series.find(text);
  if (it != f.series.end()) return &it->second;
  if (series_ >= options_.max_series) {
    ++overflowed_;
    return nullptr;
  }
  ++series_;
  Series& s = f.series[std::move(text)];
  if (kind == Kind::kHistogram) s.buckets.resize(options_.buckets.size() + 1);
  s.created = static_cast<double>(Clock::system().nowMs()) / 1000;
  return &s;
}

void PrometheusRegistry::count(std::string_view key, double n, Labels labels) {
  std::lock_guard lock(mu_);
  if (Series* s = series(key, Kind::kCounter, labels)) s->count += n;
}

void PrometheusRegistry::observe(std::string_view key, double value, Labels labels) {
  std::lock_guard lock(mu_);
  if (Series* s = series(key, Kind::kSummary, labels)) {
    s->count += 1;
    s->sum += value;
  }
}

void PrometheusRegistry::time(std::string_view key, double seconds, Labels labels) {
  std::lock_guard lock(mu_);
  Series* s = series(key, Kind::kHistogram, labels);
  if (!s) return;
  s->count += 1;
  s->sum += seconds;
  auto it = std::lower_bound(options_.buckets.begin(), options_.buckets.end(), seconds);
  s->buckets[static_cast<std::size_t>(it - options_.buckets.begin())] += 1;
}

std::uint64_t PrometheusRegistry::overflowed() const {
  std::lock_guard lock(mu_);
  return overflowed_;
}

std::string PrometheusRegistry::text() const {
  static constexpr std::string_view kHelp[] = {"Counter", "Summary", "Histogram"};
  static constexpr std::string_view kType[] = {"counter", "summary", "histogram"};
  std::string out;
  std::lock_guard lock(mu_);
  for (const auto& [key, family] : families_) {
    if (family->name.empty() || family->series.empty()) continue;
    auto kind = static_cast<std::size_t>(family->kind);
    bool counter = family->kind == Kind::kCounter;
    header(out, counter ? family->name + "_total" : family->name, kHelp[kind], family->name,
           kType[kind]);
    for (const auto& [labels, s] : family->series) {
      if (counter) {
        sampleLine(out, family->name + "_total", labels, s.count);
        continue;
      }
      double running = 0;
      for (std::size_t i = 0; i < s.buckets.size(); ++i) {
        running += s.buckets[i];
        std::string le = "le=\"";
        appendNumber(le, i < options_.buckets.size() ? options_.buckets[i] : INFINITY);
        le += '"';
        sampleLine(out, family->name + "_bucket", labels, running, le);
      }
      sampleLine(out, family->name + "_count", labels, s.count);
      sampleLine(out, family->name + "_sum", labels, s.sum);
    }
    if (!options_.created) continue;
    header(out, family->name + "_created", kHelp[kind], family->name, "gauge");
    for (const auto& [labels, s] : family->series)
      sampleLine(out, family->name + "_created", labels, s.created);
  }
  header(out, "godwit_metrics_series_overflow_total", "Counter", "series not kept for lack of room",
         "counter");
  sampleLine(out, "godwit_metrics_series_overflow_total", "", static_cast<double>(overflowed_));
  return out;
}

}  // namespace godwit::kinto
