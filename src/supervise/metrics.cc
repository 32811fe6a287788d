#include "supervise/metrics.h"

namespace godwit::supervise {
namespace {

std::string number(double v) {
  // Counters are whole; times need thousandths.
  auto thousandths = static_cast<std::int64_t>(v * 1000 + (v < 0 ? -0.5 : 0.5));
  std::string out = std::to_string(thousandths / 1000);
  std::int64_t rest = thousandths % 1000;
  if (rest == 0) return out;
  if (v < 0 && thousandths > -1000) out = "-0";
  std::string f = std::to_string(1000 + (rest < 0 ? -rest : rest)).substr(1);
  while (f.back() == '0') f.pop_back();
  return out + "." + f;
}

std::string labelText(const MetricsText::Labels& labels, std::string_view extra = {}) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += (out.empty() ? "" : ",") + std::string(name) + "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n') {
        out += "\\n";
      } else {
        out += c;
      }
    }
    out += '"';
  }
  if (!extra.empty()) out += (out.empty() ? "" : ",") + std::string(extra);
  return out.empty() ? out : "{" + out + "}";
}

}  // namespace

MetricsText::Family& MetricsText::family(std::string_view name, std::string_view help,
                                         std::string_view type) {
  for (Family& f : families_) {
    if (f.name == name) return f;
  }
  return families_.emplace_back(Family{name, help, type, ""});
}

void MetricsText::counter(std::string_view name, std::string_view help, const Labels& labels,
                          double value) {
  family(name, help, "counter").samples +=
      std::string(name) + labelText(labels) + " " + number(value) + "\n";
}

void MetricsText::gauge(std::string_view name, std::string_view help, const Labels& labels,
                        double value) {
  family(name, help, "gauge").samples +=
      std::string(name) + labelText(labels) + " " + number(value) + "\n";
}

void MetricsText::histogram(std::string_view name, std::string_view help, const Labels& labels,
                            const std::vector<double>& bounds,
                            const std::vector<std::uint64_t>& counts, double sum) {
  Family& f = family(name, help, "histogram");
  std::uint64_t total = 0;
  std::string n(name);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
    f.samples += n + "_bucket" + labelText(labels, "le=\"" + bound + "\"") + " " +
                 std::to_string(total) + "\n";
  }
  f.samples += n + "_sum" + labelText(labels) + " " + number(sum) + "\n";
  f.samples += n + "_count" + labelText(labels) + " " + std::to_string(total) + "\n";
}

std::string MetricsText::text() const {
  std::string out;
  for (const Family& f : families_) {
    out += "# HELP " + std::string(f.name) + " " + std::string(f.help) + "\n";
    out += "# TYPE " + std::string(f.name) + " " + std::string(f.type) + "\n" + f.samples;
  }
  return out;
}

const std::vector<double>& TimeHistogram::bounds() {
  static const std::vector<double> b = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return b;
}

void TimeHistogram::add(TimeNs span) {
  double s = static_cast<double>(span) / static_cast<double>(kSecond);
  std::size_t i = 0;
  while (i < bounds().size() && s > bounds()[i]) ++i;
  ++counts_[i];
  sum_ = timeAfter(sum_, span);
}

void TimeHistogram::save(JsonWriter& out) const {
  out.beginObject().field("sum", sum_).key("counts").beginArray();
  for (std::uint64_t n : counts_) out.integer(static_cast<std::int64_t>(n));
  out.endArray().endObject();
}

void TimeHistogram::restore(const JsonValue& in) {
  const auto& counts = in.at("counts").items();
  if (counts.size() != counts_.size()) return;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    counts_[i] = static_cast<std::uint64_t>(counts[i].num());
  }
  sum_ = in.at("sum").num();
}

void TimeHistogram::write(MetricsText& out, std::string_view name, std::string_view help,
                          const MetricsText::Labels& labels) const {
  out.histogram(name, help, labels, bounds(), counts_,
                static_cast<double>(sum_) / static_cast<double>(kSecond));
}

}  // namespace godwit::supervise
