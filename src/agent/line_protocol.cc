#include "agent/line_protocol.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "metrics/sketch.h"

namespace godwit::agent {
namespace {

using metrics::Kind;
using metrics::MetaValue;
using metrics::Sample;

constexpr std::size_t kMaxLine = 64 * 1024;

// A newline cannot be escaped in a name or tag: it becomes a space. A backslash at the end would
// escape what follows.
void appendEscaped(std::string& out, std::string_view text, bool equals) {
  std::size_t begin = 0;  // of what can be copied as it is
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool special = c == ',' || c == ' ' || c == '\n' || c == '\r' || (c == '=' && equals);
    if (!special) continue;
    out.append(text, begin, i - begin);
    out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
    begin = i + 1;
  }
  out.append(text, begin);
  if (!text.empty() && text.back() == '\\') out += '_';
}

void appendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t n = text.find_first_of("\"\\"); n != std::string_view::npos;
       n = text.find_first_of("\"\\")) {
    out.append(text, 0, n);
    out += '\\';
    out += text[n];
    text.remove_prefix(n + 1);
  }
  out += text;
  out += '"';
}

template <class T>
void appendNumber(std::string& out, T v) {
  char buf[32];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  out.append(buf, r.ptr);
}

bool isWhole(double v) { return std::trunc(v) == v && std::abs(v) < 9.007199254740992e15; }

}  // namespace

std::string_view lineResultName(LineResult result) {
  switch (result) {
    case LineResult::kOk:
      return "ok";
    case LineResult::kEmptyName:
      return "empty_name";
    case LineResult::kNotFinite:
      return "nan";
    case LineResult::kTypeConflict:
      return "type_conflict";
    case LineResult::kTooLong:
      return "oversize";
  }
  return "unknown";
}

FieldTypes::Type FieldTypes::agree(std::string_view measurement, std::string_view field,
                                   Type wanted) {
  key_.assign(measurement);
  key_ += '\0';
  key_ += field;
  auto it = types_.find(key_);
  if (it != types_.end()) return it->second;
  if (types_.size() < capacity_) types_.emplace(key_, wanted);
  return wanted;
}

void LineWriter::appendTags(std::string& out, const metrics::Dims& dims) {
  sorted_.clear();
  bool host = host_.empty();
  for (const auto& [key, value] : dims) {
    host = host || key == "host";
    if (key.empty() || value.empty()) continue;
    sorted_.emplace_back(key, value);
  }
  if (!host) sorted_.emplace_back("host", host_);
  // Mostly in order already, and few: without the memory that std::stable_sort takes.
  for (std::size_t i = 1; i < sorted_.size() && sorted_.size() <= 32; ++i) {
    for (std::size_t k = i; k > 0 && sorted_[k].first < sorted_[k - 1].first; --k) {
      std::swap(sorted_[k], sorted_[k - 1]);
    }
  }
  if (sorted_.size() > 32) {
    std::stable_sort(sorted_.begin(), sorted_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  for (std::size_t i = 0; i < sorted_.size(); ++i) {
    // A key twice is refused; the last one counts, as in a map.
    if (i + 1 < sorted_.size() && sorted_[i + 1].first == sorted_[i].first) continue;
    out += ',';
    appendEscaped(out, sorted_[i].first, true);
    if (sorted_[i].first == "time") out += '_';  // refused as a tag key
    out += '=';
    appendEscaped(out, sorted_[i].second, true);
  }
}

// False: nothing was written because there is nothing to write (null).
bool LineWriter::appendField(std::string& out, std::string_view measurement, std::string_view key,
                             const MetaValue& value, bool& first, LineResult& result) {
  using Type = FieldTypes::Type;
  if (key.empty() || std::holds_alternative<std::monostate>(value)) return false;
  Type have = std::holds_alternative<bool>(value)           ? Type::kBool
              : std::holds_alternative<std::int64_t>(value) ? Type::kInt
              : std::holds_alternative<double>(value)       ? Type::kFloat
                                                            : Type::kString;
  if (have == Type::kFloat && !std::isfinite(std::get<double>(value))) {
    result = LineResult::kNotFinite;
    return false;
  }
  Type want = types_.agree(measurement, key, have);
  if (!first) out += ',';
  first = false;
  appendEscaped(out, key, true);
  if (key == "time") out += '_';  // as a field key it would be dropped silently
  out += '=';
  if (want == have) {
    switch (have) {
      case Type::kBool:
        out += std::get<bool>(value) ? "true" : "false";
        break;
      case Type::kInt:
        appendNumber(out, std::get<std::int64_t>(value));
        out += 'i';
        break;
      case Type::kFloat:
        appendNumber(out, std::get<double>(value));
        break;
      case Type::kString:
        appendQuoted(out, std::get<std::string>(value));
        break;
    }
    return true;
  }
  if (want == Type::kFloat && have == Type::kInt) {
    appendNumber(out, static_cast<double>(std::get<std::int64_t>(value)));
  } else if (want == Type::kInt && have == Type::kFloat && isWhole(std::get<double>(value))) {
    appendNumber(out, static_cast<std::int64_t>(std::get<double>(value)));
    out += 'i';
  } else if (want == Type::kString) {
    std::string text;
    if (have == Type::kBool) {
      text = std::get<bool>(value) ? "true" : "false";
    } else if (have == Type::kInt) {
      appendNumber(text, std::get<std::int64_t>(value));
    } else {
      appendNumber(text, std::get<double>(value));
    }
    appendQuoted(out, text);
  } else {
    result = LineResult::kTypeConflict;
  }
  return true;
}

LineResult LineWriter::append(std::string& out, const metrics::Dims& dims, const Sample& s) {
  if (s.name.empty()) return LineResult::kEmptyName;
  std::size_t start = out.size();
  appendEscaped(out, s.name, false);
  appendTags(out, dims);
  out += ' ';

  LineResult result = LineResult::kOk;
  bool first = true;
  auto field = [&](std::string_view key, const MetaValue& value) {
    appendField(out, s.name, key, value, first, result);
  };
  // What the kind itself brings; metadata of the same name gives way.
  extra_.clear();
  switch (s.kind) {
    case Kind::Counter:
    case Kind::Gauge:
    case Kind::Timer:
    case Kind::Histogram:
    case Kind::Distribution:
    case Kind::ServiceCheck:
      extra_.emplace_back("value", s.value);
      break;
    case Kind::GaugeDelta:
      extra_.emplace_back("delta", s.value);
      break;
    case Kind::Set:
      extra_.emplace_back("member", s.data);
      break;
    case Kind::Event:
      extra_.emplace_back("text", s.data);
      break;
    case Kind::Sketch: {
      auto sketch = metrics::Sketch::parse(s.data);
      if (!sketch || sketch->empty()) {
        extra_.emplace_back("value", s.value);
        break;
      }
      extra_.emplace_back("count", sketch->count());
      extra_.emplace_back("sum", s.value);
      extra_.emplace_back("min", sketch->min());
      extra_.emplace_back("max", sketch->max());
      extra_.emplace_back("p50", sketch->quantile(0.50));
      extra_.emplace_back("p90", sketch->quantile(0.90));
      extra_.emplace_back("p95", sketch->quantile(0.95));
      extra_.emplace_back("p99", sketch->quantile(0.99));
      break;
    }
  }
  bool timed = !s.unit.name.empty() && s.kind != Kind::Counter;
  for (const auto& [key, value] : s.meta) {
    bool ours = timed && key == "unit";
    for (const auto& e : extra_) ours = ours || e.first == key;
    if (!ours) field(key, value);
  }
  for (const auto& [key, value] : extra_) field(key, value);
  if (timed) field("unit", s.unit.name);
  out += ' ';
  appendNumber(out, s.ts);
  out += '\n';
  if (result == LineResult::kOk && first) result = LineResult::kNotFinite;
  if (result == LineResult::kOk && out.size() - start > kMaxLine) result = LineResult::kTooLong;
  if (result != LineResult::kOk) out.resize(start);
  return result;
}

// ---- reading ----

namespace {

bool isNumber(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double v = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  return !text.empty() && r.ec == std::errc() && r.ptr == text.data() + text.size() &&
         std::isfinite(v);
}

bool isInteger(std::string_view text) {
  std::int64_t v = 0;
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  return !text.empty() && r.ec == std::errc() && r.ptr == text.data() + text.size();
}

bool isBool(std::string_view t) {
  return t == "t" || t == "T" || t == "true" || t == "True" || t == "TRUE" || t == "f" ||
         t == "F" || t == "false" || t == "False" || t == "FALSE";
}

bool isFieldValue(std::string_view v) {
  if (v.empty()) return false;
  if (v.front() == '"') return v.size() >= 2 && v.back() == '"';
  if (v.back() == 'i' || v.back() == 'u') return isInteger(v.substr(0, v.size() - 1));
  return isBool(v) || isNumber(v);
}

// Index of the first of `stops` that is not escaped, from `at`; size() if there is none.
std::size_t findPlain(std::string_view s, std::string_view stops, std::size_t at) {
  for (; at < s.size(); ++at) {
    if (s[at] == '\\') {
      ++at;
    } else if (stops.find(s[at]) != std::string_view::npos) {
      return at;
    }
  }
  return s.size();
}

// Index behind the closing quote of the string that opens at `at`, or npos.
std::size_t skipQuoted(std::string_view s, std::size_t at) {
  for (++at; at < s.size(); ++at) {
    if (s[at] == '\\') {
      ++at;
    } else if (s[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

std::string unescaped(std::string_view s, std::string_view specials) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\' && i + 1 < s.size() && specials.find(s[i + 1]) != std::string_view::npos) ++i;
    out += s[i];
  }
  return out;
}

MetaValue fieldValue(std::string_view v) {
  if (v.front() == '"') return unescaped(v.substr(1, v.size() - 2), "\"\\");
  if (v.back() == 'i' || v.back() == 'u') {
    v.remove_suffix(1);
    if (v.front() == '+') v.remove_prefix(1);
    std::int64_t n = 0;
    std::from_chars(v.data(), v.data() + v.size(), n);
    return n;
  }
  if (isBool(v)) return v.front() == 't' || v.front() == 'T';
  if (v.front() == '+') v.remove_prefix(1);
  double d = 0;
  std::from_chars(v.data(), v.data() + v.size(), d);
  return d;
}

}  // namespace

std::optional<LineParts> splitLine(std::string_view line) {
  LineParts parts;
  std::size_t end = findPlain(line, " ", 0);
  parts.series = line.substr(0, end);
  if (parts.series.empty() || parts.series.front() == ',' || parts.series.size() > kMaxLine) {
    return std::nullopt;
  }
  // Tags: key=value, none of them empty.
  std::size_t at = findPlain(parts.series, ",", 0);
  while (at < parts.series.size()) {
    std::size_t next = findPlain(parts.series, ",", at + 1);
    std::string_view tag = parts.series.substr(at + 1, next - at - 1);
    std::size_t eq = findPlain(tag, "=", 0);
    if (eq == 0 || eq + 1 >= tag.size()) return std::nullopt;
    if (findPlain(tag, "=", eq + 1) != tag.size()) return std::nullopt;
    if (tag.back() == '\\') return std::nullopt;
    at = next;
  }
  while (end < line.size() && line[end] == ' ') ++end;
  std::size_t start = end;
  while (true) {
    std::size_t eq = findPlain(line, "=, ", end);
    if (eq >= line.size() || line[eq] != '=' || eq == end) return std::nullopt;
    std::size_t value = eq + 1;
    bool quoted = value < line.size() && line[value] == '"';
    std::size_t stop = quoted ? skipQuoted(line, value) : findPlain(line, ", ", value);
    if (stop == std::string_view::npos) return std::nullopt;
    if (stop < line.size() && line[stop] != ',' && line[stop] != ' ') return std::nullopt;
    if (!isFieldValue(line.substr(value, stop - value))) return std::nullopt;
    end = stop;
    if (end >= line.size() || line[end] == ' ') break;
    ++end;
  }
  parts.fields = line.substr(start, end - start);
  while (end < line.size() && line[end] == ' ') ++end;
  std::string_view rest = line.substr(end);
  while (!rest.empty() && (rest.back() == ' ' || rest.back() == '\r')) rest.remove_suffix(1);
  if (!rest.empty() && !isInteger(rest)) return std::nullopt;
  parts.timestamp = rest;
  return parts;
}

bool parseLinePoint(const LineParts& parts, LinePoint& out) {
  out.tags.clear();
  out.fields.clear();
  std::size_t at = findPlain(parts.series, ",", 0);
  out.measurement = unescaped(parts.series.substr(0, at), ", ");
  while (at < parts.series.size()) {
    std::size_t next = findPlain(parts.series, ",", at + 1);
    std::string_view tag = parts.series.substr(at + 1, next - at - 1);
    std::size_t eq = findPlain(tag, "=", 0);
    if (eq >= tag.size()) return false;
    out.tags.emplace_back(unescaped(tag.substr(0, eq), ",= "),
                          unescaped(tag.substr(eq + 1), ",= "));
    at = next;
  }
  std::string_view f = parts.fields;
  while (!f.empty()) {
    std::size_t eq = findPlain(f, "=", 0);
    if (eq + 1 >= f.size()) return false;
    bool quoted = f[eq + 1] == '"';
    std::size_t stop = quoted ? skipQuoted(f, eq + 1) : findPlain(f, ",", eq + 1);
    if (stop == std::string_view::npos) return false;
    out.fields.emplace_back(unescaped(f.substr(0, eq), ",= "),
                            fieldValue(f.substr(eq + 1, stop - eq - 1)));
    f.remove_prefix(stop < f.size() ? stop + 1 : stop);
  }
  out.timestamp = 0;
  std::from_chars(parts.timestamp.data(), parts.timestamp.data() + parts.timestamp.size(),
                  out.timestamp);
  return !out.fields.empty();
}

std::int64_t precisionNs(std::string_view p) {
  if (p.empty() || p == "ns" || p == "n") return 1;
  if (p == "us" || p == "u" || p == "\xC2\xB5s") return 1'000;
  if (p == "ms") return 1'000'000;
  if (p == "s") return 1'000'000'000;
  if (p == "m") return 60'000'000'000;
  if (p == "h") return 3'600'000'000'000;
  return 0;
}

}  // namespace godwit::agent
