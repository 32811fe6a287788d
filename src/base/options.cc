#include "base/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace godwit {
namespace {

constexpr std::size_t kMaxKey = 512;  // matching patterns is quadratic in the length of a key

std::string outOfRange(const OptionDef& o) {
  constexpr auto kNoMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kNoMax = std::numeric_limits<std::int64_t>::max();
  std::string unit = o.unit.empty() ? "" : " " + std::string(o.unit);
  if (o.min != kNoMin && o.max != kNoMax) {
    return "is not between " + std::to_string(o.min) + " and " + std::to_string(o.max) + unit;
  }
  return o.min != kNoMin ? "is below " + std::to_string(o.min) + unit
                         : "is above " + std::to_string(o.max) + unit;
}

std::string inRange(const OptionDef& o, double v) {
  bool low = o.min != std::numeric_limits<std::int64_t>::min() && v < static_cast<double>(o.min);
  bool high = o.max != std::numeric_limits<std::int64_t>::max() && v > static_cast<double>(o.max);
  return low || high ? outOfRange(o) : "";
}

// The name in the braces at `open`; leaves in `pattern` what follows them.
std::string_view placeholder(std::string_view& pattern, std::size_t open) {
  std::size_t close = std::min(pattern.find('}', open), pattern.size() - 1);
  std::string_view name = pattern.substr(open + 1, close - open - 1);
  pattern.remove_prefix(close + 1);
  return name;
}

std::vector<std::string_view> alternatives(std::string_view name) {
  std::vector<std::string_view> found;
  for (;;) {
    std::size_t bar = name.find('|');
    found.push_back(name.substr(0, bar));
    if (bar == std::string_view::npos) return found;
    name.remove_prefix(bar + 1);
  }
}

std::string underscored(std::string_view key) {
  std::string out(key);
  for (char& c : out) c = c == '.' || c == '-' ? '_' : c;
  return out;
}

}  // namespace

std::string Origin::text() const {
  switch (kind) {
    case OriginKind::kDefault:
      return "default";
    case OriginKind::kFile:
      return name;
    case OriginKind::kEnvironment:
      return "environment " + name;
    case OriginKind::kFlag:
      break;
  }
  return "flag " + name;
}

std::optional<std::int64_t> parseInt(std::string_view text) {
  text = trim(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t i = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), i);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return std::nullopt;
  return i;
}

std::optional<double> parseNumber(std::string_view text) {
  text = trim(text);
  double d = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), d);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || !std::isfinite(d)) {
    return std::nullopt;
  }
  return d;
}

std::string whyNot(const OptionDef& o, std::string_view text) {
  text = trim(text);
  if (text.empty()) return "";
  switch (o.type) {
    case OptionType::kBool:
      return parseBool(text) ? "" : "is neither true nor false";
    case OptionType::kInt: {
      auto i = parseInt(text);
      if (!i) return "is not a whole number";
      return *i < o.min || *i > o.max ? outOfRange(o) : "";
    }
    case OptionType::kNumber: {
      auto d = parseNumber(text);
      return d ? inRange(o, *d) : "is not a number";
    }
    case OptionType::kDuration: {
      auto d = parseDuration(text, o.unit);
      if (!d) return "is not a duration (hint: 500ms, 30s, 5m, 2h)";
      auto unit = parseDuration("1", o.unit).value_or(std::chrono::seconds(1));
      return inRange(o, static_cast<double>(d->count()) / static_cast<double>(unit.count()));
    }
    case OptionType::kSize: {
      auto n = parseSize(text);
      return n ? inRange(o, static_cast<double>(*n)) : "is not a size (hint: 65536, 64KiB, 16MiB)";
    }
    case OptionType::kChoice: {
      auto words = splitWords(o.choices);
      if (std::find(words.begin(), words.end(), text) != words.end()) return "";
      std::string all;
      for (const auto& w : words) all += (all.empty() ? "" : ", ") + w;
      return "is not one of " + all;
    }
    case OptionType::kString:
    case OptionType::kList:
    case OptionType::kPath:
    case OptionType::kUrl:
      break;
  }
  return "";
}

bool matchesPattern(std::string_view pattern, std::string_view key) {
  std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) return pattern == key;
  if (key.substr(0, open) != pattern.substr(0, open)) return false;
  key.remove_prefix(open);
  std::string_view name = placeholder(pattern, open);
  if (name.find('|') != std::string_view::npos) {
    for (std::string_view choice : alternatives(name)) {
      if (key.substr(0, choice.size()) == choice &&
          matchesPattern(pattern, key.substr(choice.size()))) {
        return true;
      }
    }
    return false;
  }
  // A name has at least one character; "{x}" at the end takes the rest, dots included.
  for (std::size_t n = 1; n <= key.size(); ++n) {
    if (matchesPattern(pattern, key.substr(n))) return true;
    if (key[n - 1] == '.' && !pattern.empty()) return false;
  }
  return false;
}

const OptionDef* findOption(std::span<const OptionDef> table, std::string_view key) {
  if (key.size() > kMaxKey) return nullptr;
  const OptionDef* pattern = nullptr;
  for (const OptionDef& o : table) {
    if (o.key == key) return &o;
    if (pattern == nullptr && o.isPattern() && matchesPattern(o.key, key)) pattern = &o;
  }
  return pattern;
}

std::optional<std::string> keyFromEnvironment(std::string_view pattern, std::string_view text) {
  std::size_t open = pattern.find('{');
  std::string_view literal = pattern.substr(0, open);
  if (lower(text.substr(0, literal.size())) != underscored(literal)) return std::nullopt;
  text.remove_prefix(literal.size());
  if (open == std::string_view::npos) {
    return text.empty() ? std::optional<std::string>(literal) : std::nullopt;
  }
  std::string_view name = placeholder(pattern, open);
  std::vector<std::string_view> choices = alternatives(name);
  std::string word = lower(text.substr(0, text.find('_')));
  if (choices.size() == 1) choices = {word};
  for (std::string_view choice : choices) {
    if (choice.empty() || lower(text.substr(0, choice.size())) != underscored(choice)) continue;
    if (auto rest = keyFromEnvironment(pattern, text.substr(choice.size()))) {
      return std::string(literal) + std::string(choice) + *rest;
    }
  }
  return std::nullopt;
}

std::size_t editDistance(std::string_view a, std::string_view b, std::size_t limit) {
  std::size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit || a.size() > 256 || b.size() > 256) return limit + 1;
  std::vector<std::size_t> before2;
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) before[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t change = before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({before[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before2[j - 2] + 1);
      }
    }
    before2 = before;
    before = row;
  }
  return std::min(before[b.size()], limit + 1);
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // Two letters of three are another word.
  std::size_t best = std::min(std::max<std::size_t>(2, word.size() / 4), word.size() / 2) + 1;
  std::string_view found;
  for (std::string_view c : candidates) {
    std::size_t d = editDistance(word, c, best);
    if (d < best) {
      best = d;
      found = c;
    }
  }
  return found;
}

std::string maskUrl(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) break;
    out += text.substr(0, scheme + 3);
    text.remove_prefix(scheme + 3);
    std::size_t end = std::min(text.find_first_of("/?# \t\n"), text.size());
    std::string_view authority = text.substr(0, end);
    std::size_t at = authority.rfind('@');
    std::size_t colon = authority.find(':');
    if (at != std::string_view::npos && colon < at) {
      out += authority.substr(0, colon + 1);
      out += "***";
      out += authority.substr(at);
    } else {
      out += authority;
    }
    text.remove_prefix(end);
  }
  out += text;
  return out;
}

}  // namespace godwit
