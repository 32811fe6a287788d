#include "kinto/text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "json/schema/schema.h"

namespace godwit::kinto {
namespace {

constexpr std::array<const char*, 7> kDays = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Civil {
  std::int64_t year;
  int month, day, hour, minute, second;
  std::int64_t days;
};

// Howard Hinnant's days-to-civil arithmetic, for the proleptic Gregorian calendar.
Civil civil(std::int64_t unix_s) {
  std::int64_t days = unix_s / 86'400;
  std::int64_t rest = unix_s % 86'400;
  if (rest < 0) {
    rest += 86'400;
    --days;
  }
  std::int64_t z = days + 719'468;
  std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
  std::int64_t doe = z - era * 146'097;
  std::int64_t yoe = (doe - doe / 1'460 + doe / 36'524 - doe / 146'096) / 365;
  std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  std::int64_t mp = (5 * doy + 2) / 153;
  Civil c{};
  c.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  c.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
  c.hour = static_cast<int>(rest / 3'600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  c.days = days;
  return c;
}

bool isWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::optional<std::int64_t> toInt(std::string_view s) {
  if (s.starts_with('+') && !s.starts_with("+-")) s.remove_prefix(1);
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return value;
}

namespace {

// `digits` decimal digits of n with leading zeros. Dates are in every answer: snprintf would cost
// more than the rest of a header.
void appendPadded(std::string& out, std::int64_t n, int digits) {
  char buffer[20];
  for (int i = digits; i-- > 0; n /= 10) buffer[i] = static_cast<char>('0' + n % 10);
  out.append(buffer, static_cast<std::size_t>(digits));
}

void appendTime(std::string& out, const Civil& c) {
  appendPadded(out, c.hour, 2);
  out += ':';
  appendPadded(out, c.minute, 2);
  out += ':';
  appendPadded(out, c.second, 2);
}

}  // namespace

std::string httpDate(std::int64_t unix_ms) {
  std::int64_t s = unix_ms >= 0 ? unix_ms / 1000 : (unix_ms - 999) / 1000;
  Civil c = civil(s);
  std::string out;
  out.reserve(32);
  out.append(kDays[static_cast<std::size_t>(((c.days % 7) + 7) % 7)]).append(", ");
  appendPadded(out, c.day, 2);
  out.append(" ").append(kMonths[static_cast<std::size_t>(c.month - 1)]).append(" ");
  appendPadded(out, c.year, 4);
  out += ' ';
  appendTime(out, c);
  return out.append(" GMT");
}

std::string isoDate(std::int64_t unix_ns) {
  Civil c = civil(unix_ns / 1'000'000'000);
  std::string out;
  out.reserve(40);
  appendPadded(out, c.year, 4);
  out += '-';
  appendPadded(out, c.month, 2);
  out += '-';
  appendPadded(out, c.day, 2);
  out += 'T';
  appendTime(out, c);
  out += '.';
  appendPadded(out, unix_ns % 1'000'000'000 / 1'000, 6);
  return out.append("+00:00");
}

bool wildcardMatch(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  auto one = [&](std::size_t& at) {  // matches text[t] with the single-character pattern at `at`
    if (pattern[at] == '?') {
      ++at;
      return true;
    }
    if (pattern[at] == '[') {
      auto end = pattern.find(']', at + 2);
      if (end != std::string_view::npos) {
        std::string_view set = pattern.substr(at + 1, end - at - 1);
        bool negate = set.front() == '!';
        if (negate) set.remove_prefix(1);
        bool found = false;
        for (std::size_t i = 0; i < set.size(); ++i) {
          if (i + 2 < set.size() && set[i + 1] == '-') {
            found = found || (text[t] >= set[i] && text[t] <= set[i + 2]);
            i += 2;
          } else {
            found = found || set[i] == text[t];
          }
        }
        at = end + 1;
        return found != negate;
      }
    }
    return pattern[at++] == text[t];
  };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
      continue;
    }
    std::size_t next = p;
    if (p < pattern.size() && one(next)) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string formEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    if (isWordByte(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      auto u = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  return out;
}

std::string pythonRepr(const json::Value& value) { return json::pythonRepr(value); }

std::string pythonText(const json::Value& value) {
  return value.isString() ? value.asString() : json::pythonRepr(value);
}

std::size_t skipValue(std::string_view text, std::size_t pos) {
  std::size_t depth = 0;
  while (pos < text.size()) {
    char c = text[pos];
    if (c == '"') {
      ++pos;
      while (pos < text.size() && text[pos] != '"') pos += text[pos] == '\\' ? 2 : 1;
      ++pos;
      if (depth == 0) return std::min(pos, text.size());
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return pos;
      if (--depth == 0) return pos + 1;
    } else if (depth == 0 && (c == ',' || c == ':')) {
      return pos;
    }
    ++pos;
  }
  return text.size();
}

}  // namespace godwit::kinto
