#include "agent/statsd_parser.h"

#include <charconv>
#include <cmath>

namespace godwit::agent {
namespace {

// from_chars takes no '+', and takes "inf", "nan": both are decided here. Hex is not a number to
// it either, "0x10" stops at the x.
bool parseNumber(std::string_view text, double& out) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text.front() == '-') return false;
  }
  if (text.empty()) return false;
  const char* begin = text.data();
  const char* end = begin + text.size();
  // Most values are short integers.
  if (text.size() <= 9) {
    std::uint32_t n = 0;
    const char* p = begin;
    for (; p != end; ++p) {
      unsigned digit = static_cast<unsigned char>(*p) - unsigned{'0'};
      if (digit > 9) break;
      n = n * 10 + digit;
    }
    if (p == end) {
      out = n;
      return true;
    }
  }
  auto r = std::from_chars(begin, end, out);
  return r.ec == std::errc() && r.ptr == end && std::isfinite(out);
}

bool parseUnsigned(std::string_view text, std::uint64_t& out) {
  auto r = std::from_chars(text.data(), text.data() + text.size(), out);
  return r.ec == std::errc() && r.ptr == text.data() + text.size();
}

std::string_view cutAt(std::string_view& text, char c) {
  std::size_t n = text.find(c);
  std::string_view head = text.substr(0, n);
  text.remove_prefix(n == std::string_view::npos ? text.size() : n + 1);
  return head;
}

bool typeOf(std::string_view t, StatsdType& out) {
  if (t.size() == 1) {
    switch (t[0]) {
      case 'c':
      case 'm':  // a meter counts events
        out = StatsdType::kCounter;
        return true;
      case 'g':
        out = StatsdType::kGauge;
        return true;
      case 'h':
        out = StatsdType::kHistogram;
        return true;
      case 'd':
        out = StatsdType::kDistribution;
        return true;
      case 's':
        out = StatsdType::kSet;
        return true;
      default:
        return false;
    }
  }
  if (t == "ms") {
    out = StatsdType::kTimer;
    return true;
  }
  if (t == "kv") {
    out = StatsdType::kKeyValue;
    return true;
  }
  return false;
}

}  // namespace

std::string_view statsdBadName(StatsdBad bad) {
  switch (bad) {
    case StatsdBad::kNone:
      return "none";
    case StatsdBad::kNoType:
      return "no_type";
    case StatsdBad::kNoValue:
      return "no_value";
    case StatsdBad::kEmptyName:
      return "empty_name";
    case StatsdBad::kBadValue:
      return "bad_value";
    case StatsdBad::kBadRate:
      return "bad_rate";
    case StatsdBad::kUnknownType:
      return "unknown_type";
    case StatsdBad::kNameTooLong:
      return "name_too_long";
    case StatsdBad::kNegativeTimer:
      return "negative_timer";
    case StatsdBad::kBadEvent:
      return "bad_event";
    case StatsdBad::kBadTimestamp:
      return "bad_timestamp";
    case StatsdBad::kCount:
      break;
  }
  return "unknown";
}

StatsdBad StatsdParser::parseLine(std::string_view line, StatsdLine& out) const {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  out.inline_tags = {};
  out.tags = {};
  out.container = {};
  out.member = {};
  out.values.clear();
  out.rate = 1;
  out.has_time = false;
  if (line.starts_with("_e{")) return parseEvent(line, out);
  if (line.starts_with("_sc|")) return parseServiceCheck(line, out);

  std::size_t bar = line.find('|');
  std::string_view head = line.substr(0, bar);
  std::size_t colon = head.find(':');
  if (colon == std::string_view::npos) {
    if (bar != std::string_view::npos) return StatsdBad::kNoValue;
    if (!options_.etsy_compat) return StatsdBad::kNoType;
    out.type = StatsdType::kCounter;
    out.values.push_back({1, false});
  }
  std::string_view name = head.substr(0, colon);
  // Influx "name,k=v", Graphite "name;k=v", SignalFx "name[k=v]".
  std::size_t tag_at = name.find_first_of(",;[");
  if (tag_at != std::string_view::npos) {
    bool bracket = name[tag_at] == '[';
    bool tagged =
        name.find('=', tag_at) != std::string_view::npos && (!bracket || name.back() == ']');
    if (tagged) {
      out.inline_tags = name.substr(tag_at);
      name = name.substr(0, tag_at);
    }
  }
  if (name.empty()) return StatsdBad::kEmptyName;
  if (name.size() > options_.max_name) return StatsdBad::kNameTooLong;
  out.name = name;
  if (colon == std::string_view::npos) return StatsdBad::kNone;
  if (bar == std::string_view::npos) return StatsdBad::kNoType;

  std::string_view values = head.substr(colon + 1);
  std::string_view rest = line.substr(bar + 1);
  std::string_view type = cutAt(rest, '|');
  if (!typeOf(type, out.type)) {
    return type.empty() ? StatsdBad::kNoType : StatsdBad::kUnknownType;
  }
  if (out.type == StatsdType::kSet) {
    out.member = values;
    if (values.empty()) return StatsdBad::kBadValue;
  } else if (StatsdBad bad = parseValues(values, out); bad != StatsdBad::kNone) {
    return bad;
  }
  return rest.empty() ? StatsdBad::kNone : parseSections(rest, out);
}

StatsdBad StatsdParser::parseValue(std::string_view text, StatsdType type,
                                   StatsdLine::Value& out) const {
  if (!parseNumber(text, out.number)) return StatsdBad::kBadValue;
  if (type == StatsdType::kTimer && out.number < 0) return StatsdBad::kNegativeTimer;
  out.relative = type == StatsdType::kGauge && options_.gauge_delta &&
                 (text.front() == '+' || text.front() == '-');
  return StatsdBad::kNone;
}

StatsdBad StatsdParser::parseValues(std::string_view values, StatsdLine& out) const {
  while (true) {
    std::size_t n = values.find(':');
    std::string_view text = values.substr(0, n);
    StatsdLine::Value v{0, false};
    if (auto bad = parseValue(text, out.type, v); bad != StatsdBad::kNone) return bad;
    if (out.values.size() >= options_.max_values) return StatsdBad::kBadValue;
    out.values.push_back(v);
    if (n == std::string_view::npos) return StatsdBad::kNone;
    values.remove_prefix(n + 1);
  }
}

StatsdBad StatsdParser::parseSections(std::string_view rest, StatsdLine& out) const {
  while (!rest.empty()) {
    std::string_view section = cutAt(rest, '|');
    if (section.empty()) continue;
    switch (section[0]) {
      case '@': {
        double rate = 0;
        if (!parseNumber(section.substr(1), rate) || !(rate > 0 && rate <= 1)) {
          return StatsdBad::kBadRate;
        }
        out.rate = rate;
        break;
      }
      case '#':
        out.tags = section.substr(1);
        break;
      case 'c':
        if (section.starts_with("c:")) out.container = section.substr(2);
        break;
      case 'T': {
        std::uint64_t s = 0;
        // Up to the year 2262: beyond that the instant does not fit 64 bits of nanoseconds.
        if (!parseUnsigned(section.substr(1), s) || s > 9'223'372'036) {
          return StatsdBad::kBadTimestamp;
        }
        out.unix_s = static_cast<std::int64_t>(s);
        out.has_time = true;
        break;
      }
      default:  // sections of later protocol versions
        break;
    }
  }
  return StatsdBad::kNone;
}

// _e{<title bytes>,<text bytes>}:<title>|<text>|d:<unix s>|...|#tags
StatsdBad StatsdParser::parseEvent(std::string_view line, StatsdLine& out) const {
  out.type = StatsdType::kEvent;
  std::string_view rest = line.substr(3);
  std::size_t close = rest.find("}:");
  if (close == std::string_view::npos) return StatsdBad::kBadEvent;
  std::string_view sizes = rest.substr(0, close);
  rest.remove_prefix(close + 2);
  std::string_view first = cutAt(sizes, ',');
  std::uint64_t title = 0, text = 0;
  if (!parseUnsigned(first, title) || !parseUnsigned(sizes, text)) return StatsdBad::kBadEvent;
  if (title == 0 || title > rest.size() || text > rest.size() - title) return StatsdBad::kBadEvent;
  if (rest.size() < title + 1 + text || rest[title] != '|') return StatsdBad::kBadEvent;
  out.name = rest.substr(0, title);
  out.member = rest.substr(title + 1, text);
  rest.remove_prefix(title + 1 + text);
  if (out.name.size() > options_.max_name) return StatsdBad::kNameTooLong;
  if (rest.empty()) return StatsdBad::kNone;
  if (rest.front() != '|') return StatsdBad::kBadEvent;
  return parseSections(rest.substr(1), out);
}

// _sc|<name>|<status 0..3>|d:...|h:...|#tags|m:message
StatsdBad StatsdParser::parseServiceCheck(std::string_view line, StatsdLine& out) const {
  out.type = StatsdType::kServiceCheck;
  std::string_view rest = line.substr(4);
  out.name = cutAt(rest, '|');
  std::string_view status = cutAt(rest, '|');
  if (out.name.empty()) return StatsdBad::kEmptyName;
  if (out.name.size() > options_.max_name) return StatsdBad::kNameTooLong;
  if (status.size() != 1 || status[0] < '0' || status[0] > '3') return StatsdBad::kBadEvent;
  out.values.push_back({static_cast<double>(status[0] - '0'), false});
  return parseSections(rest, out);
}

std::size_t StatsdParser::splitTags(const StatsdLine& line, StatsdTags& out) const {
  std::size_t cut = 0;
  std::size_t start = out.size();
  auto add = [&](std::string_view tag, char separator) {
    if (tag.empty()) return;
    if (out.size() - start >= options_.max_tags) {
      ++cut;
      return;
    }
    if (tag.size() > options_.max_tag) {
      ++cut;
      std::size_t n = options_.max_tag;  // not through the middle of a UTF-8 sequence
      while (n > 0 && (static_cast<unsigned char>(tag[n]) & 0xC0) == 0x80) --n;
      tag = tag.substr(0, n);
    }
    std::size_t at = tag.find(separator);
    std::string_view key = tag.substr(0, at);
    std::string_view value = at == std::string_view::npos ? std::string_view{} : tag.substr(at + 1);
    if (!key.empty()) out.emplace_back(key, value);
  };
  std::string_view in = line.inline_tags;
  if (!in.empty()) {
    char separator = in.front() == ';' ? ';' : ',';
    in.remove_prefix(1);
    if (!in.empty() && line.inline_tags.front() == '[') in.remove_suffix(1);
    while (!in.empty()) add(cutAt(in, separator), '=');
  }
  std::string_view tags = line.tags;
  while (!tags.empty()) add(cutAt(tags, ','), ':');
  if (!line.container.empty()) out.emplace_back("container_id", line.container);
  return cut;
}

}  // namespace godwit::agent
