#include "agent/prometheus_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>

namespace godwit::agent {
namespace {

constexpr std::array<double, 14> kBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,  0.5,    1,     2.5,  5,     10,   30};
constexpr std::array<std::pair<std::string_view, double>, 4> kQuantiles = {
    {{"0.5", 0.5}, {"0.9", 0.9}, {"0.95", 0.95}, {"0.99", 0.99}}};

void appendNumber(std::string& out, double v) {
  if (std::isnan(v)) {
    out += "NaN";
  } else if (std::isinf(v)) {
    out += v > 0 ? "+Inf" : "-Inf";
  } else {
    char buf[32];
    auto r = std::to_chars(buf, buf + sizeof buf, v);
    out.append(buf, r.ptr);
  }
}

void appendLabelValue(std::string& out, std::string_view v) {
  for (char c : v) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

// Without braces; a label that becomes equal to an earlier one gets an underscore more.
std::string labelText(const metrics::Dims& labels) {
  std::map<std::string, std::string_view> named;
  for (const auto& [k, v] : labels) {
    std::string name = prometheusLabelName(k);
    while (named.contains(name)) name += '_';
    named[name] = v;
  }
  std::string out;
  for (const auto& [k, v] : named) {
    if (!out.empty()) out += ',';
    out += k;
    out += "=\"";
    appendLabelValue(out, v);
    out += '"';
  }
  return out;
}

struct Merged {
  double value = 0;
  std::int64_t last_ns = 0;
  double per_second = 0;
  const metrics::Sketch* sketch = nullptr;
  std::unique_ptr<metrics::Sketch> merged;  // only when two series became one
};
struct Family {
  SeriesKind kind{};
  std::string help;
  bool seconds = false;
  std::map<std::string, Merged> series;  // by label text
};

std::string_view typeName(SeriesKind kind, bool histograms) {
  switch (kind) {
    case SeriesKind::kCounter:
      return "counter";
    case SeriesKind::kGauge:
      return "gauge";
    case SeriesKind::kTimer:
      return histograms ? "histogram" : "summary";
  }
  return "untyped";
}

void line(std::string& out, const std::string& name, std::string_view suffix,
          const std::string& labels, std::string_view label, std::string_view text, double v) {
  out += name;
  out += suffix;
  if (!labels.empty() || !label.empty()) {
    out += '{';
    out += labels;
    if (!label.empty()) {
      if (!labels.empty()) out += ',';
      out += label;
      out += "=\"";
      out += text;
      out += '"';
    }
    out += '}';
  }
  out += ' ';
  appendNumber(out, v);
  out += '\n';
}

void appendTimer(std::string& out, const std::string& name, const std::string& labels,
                 const Merged& m, bool histograms) {
  if (!m.sketch) return;
  const metrics::Sketch& sketch = *m.sketch;
  double scale = m.per_second > 0 ? 1 / m.per_second : 1;
  if (histograms) {
    double below = sketch.zeroCount();
    for (const auto& b : sketch.negativeBins()) below += b.count;
    auto bins = sketch.positiveBins();
    std::size_t i = 0;
    for (double bound : kBuckets) {
      while (i < bins.size() && metrics::Sketch::binValue(bins[i].index) * scale <= bound) {
        below += bins[i++].count;
      }
      std::string text;
      appendNumber(text, bound);
      line(out, name, "_bucket", labels, "le", text, below);
    }
    line(out, name, "_bucket", labels, "le", "+Inf", sketch.count());
  } else {
    for (const auto& [text, q] : kQuantiles) {
      line(out, name, "", labels, "quantile", text, sketch.quantile(q) * scale);
    }
  }
  line(out, name, "_sum", labels, {}, {}, sketch.sum() * scale);
  line(out, name, "_count", labels, {}, {}, sketch.count());
}

}  // namespace

std::string prometheusName(std::string_view name) {
  std::string out;
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) out += '_';
  for (char c : name) {
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || c == ':';
    out += fine ? c : '_';
  }
  return out;
}

std::string prometheusLabelName(std::string_view name) {
  std::string out = prometheusName(name);
  for (char& c : out) c = c == ':' ? '_' : c;
  if (out.starts_with("__")) out = "x" + out;  // two underscores are reserved
  if (out == "le" || out == "quantile") out += '_';
  return out;
}

void appendPrometheus(std::string& out, const std::vector<CumulativeSeries*>& series,
                      const PrometheusOptions& options) {
  std::map<std::string, Family> families;
  for (const CumulativeSeries* s : series) {
    std::string name = prometheusName(s->name);
    bool seconds = s->kind == SeriesKind::kTimer && s->per_second > 0;
    if (seconds && !name.ends_with("_seconds")) name += "_seconds";
    if (s->kind == SeriesKind::kCounter && name.ends_with("_total")) name.resize(name.size() - 6);
    auto it = families.find(name);
    // One name, one type: a second type gets a name of its own.
    if (it != families.end() && it->second.kind != s->kind) {
      name += s->kind == SeriesKind::kGauge     ? "_gauge"
              : s->kind == SeriesKind::kCounter ? "_counter"
                                                : "_timer";
    }
    Family& f = families[name];
    if (f.series.empty()) {
      f.kind = s->kind;
      f.seconds = seconds;
      f.help = s->name;
    }
    if (f.kind != s->kind) continue;  // a third clash of names: not shown
    Merged& m = f.series[labelText(s->labels)];
    if (s->kind == SeriesKind::kGauge) {
      if (s->last_ns >= m.last_ns) m.value = s->value;
    } else {
      m.value += s->value;
    }
    m.last_ns = std::max(m.last_ns, s->last_ns);
    if (s->sketch && !m.sketch) {
      m.per_second = s->per_second;
      m.sketch = s->sketch.get();
    } else if (s->sketch && m.per_second == s->per_second) {
      if (!m.merged) m.merged = std::make_unique<metrics::Sketch>(*m.sketch);
      m.merged->merge(*s->sketch);
      m.sketch = m.merged.get();
    }
  }
  for (const auto& [name, f] : families) {
    std::string shown = name;
    if (f.kind == SeriesKind::kCounter && !options.open_metrics) shown += "_total";
    out += "# HELP " + shown + " ";
    for (char c : f.help) out += c == '\\' ? "\\\\" : c == '\n' ? "\\n" : std::string(1, c);
    out += "\n# TYPE " + shown + " ";
    out += typeName(f.kind, options.histograms);
    out += '\n';
    if (options.open_metrics && f.seconds) out += "# UNIT " + shown + " seconds\n";
    for (const auto& [labels, m] : f.series) {
      switch (f.kind) {
        case SeriesKind::kCounter:
          line(out, name, "_total", labels, {}, {}, m.value);
          break;
        case SeriesKind::kGauge:
          line(out, name, "", labels, {}, {}, m.value);
          break;
        case SeriesKind::kTimer:
          appendTimer(out, name, labels, m, options.histograms);
          break;
      }
    }
  }
}

}  // namespace godwit::agent
