#include "metrics/time_format.h"

#include <array>
#include <cstdint>

namespace godwit::metrics {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"January",   "February", "March",    "April",
                                                   "May",       "June",     "July",     "August",
                                                   "September", "October",  "November", "December"};

struct Civil {
  std::int64_t year;
  int month;  // 1-12
  int day;
};

constexpr bool isLeap(std::int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }

constexpr int daysInMonth(std::int64_t y, int m) {
  constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return m == 2 && isLeap(y) ? 29 : kDays[static_cast<std::size_t>(m - 1)];
}

// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
// the leap day is the last day of a year, and in eras of 400 years of 146,097 days.
constexpr std::int64_t daysFromCivil(Civil c) {
  const std::int64_t y = c.month <= 2 ? c.year - 1 : c.year;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const std::int64_t year_of_era = y - era * 400;
  const int month = c.month > 2 ? c.month - 3 : c.month + 9;
  const std::int64_t day_of_year = (153 * month + 2) / 5 + c.day - 1;
  const std::int64_t day = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day - 719468;
}

constexpr Civil civilFromDays(std::int64_t days) {
  const std::int64_t z = days + 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const std::int64_t doe = z - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const auto mp = static_cast<int>((5 * doy + 2) / 153);
  const auto day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const int month = mp < 10 ? mp + 3 : mp - 9;
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, day};
}
static_assert(daysFromCivil({1970, 1, 1}) == 0 && daysFromCivil({2000, 3, 1}) == 11017);
static_assert(civilFromDays(11016).day == 29);

struct Fields {
  Civil date;
  std::int64_t seconds;  // of the day
  std::int64_t micros;
};

Fields split(TimeNs t) {
  std::int64_t us = t / 1000;
  if (t % 1000 < 0) --us;
  std::int64_t s = us / 1'000'000;
  if (us % 1'000'000 < 0) --s;
  std::int64_t days = s / 86400;
  if (s % 86400 < 0) --days;
  return {civilFromDays(days), s - days * 86400, us - s * 1'000'000};
}

void appendPadded(std::string& out, std::int64_t v, int width) {
  char buf[8];
  for (int i = width; i-- > 0; v /= 10) buf[i] = static_cast<char>('0' + v % 10);
  out.append(buf, static_cast<std::size_t>(width));
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

class TimeParser {
 public:
  explicit TimeParser(std::string_view text) : text_(text) {}

  bool directive(char c) {
    switch (c) {
      case 'Y':
        return number(4, 4, 1, 9999, year_);
      case 'y':
        if (!number(2, 2, 0, 99, year_)) return false;
        year_ += year_ <= 68 ? 2000 : 1900;
        return true;
      case 'm':
        return number(1, 2, 1, 12, month_);
      case 'd':
        if (!text_.empty() && text_.front() == ' ') {
          text_.remove_prefix(1);
          return number(1, 1, 1, 9, day_);
        }
        return number(1, 2, 1, 31, day_);
      case 'H':
        return number(1, 2, 0, 23, hour_);
      case 'M':
        return number(1, 2, 0, 59, minute_);
      case 'S':
        return number(1, 2, 0, 59, second_);
      case 'j':
        return number(1, 3, 1, 366, yday_);
      case 'f':
        return fraction();
      case 'b':
        return monthName(3);
      case 'B':
        return monthName(0);
      case 'z':
        return offset();
      case 'Z':
        return word("UTC") || word("GMT");
      case '%':
        return literal('%');
      default:
        return false;
    }
  }
  bool literal(char c) {
    if (text_.empty() || lower(text_.front()) != lower(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  // A blank in the format stands for one or more.
  bool blanks() {
    if (text_.empty() || !isSpace(text_.front())) return false;
    while (!text_.empty() && isSpace(text_.front())) text_.remove_prefix(1);
    return true;
  }

  std::optional<TimeNs> finish() const {
    if (!text_.empty()) return std::nullopt;
    if (yday_ == 0 && day_ > daysInMonth(year_, static_cast<int>(month_))) return std::nullopt;
    std::int64_t days = 0;
    if (yday_ > 0) {
      days = daysFromCivil({year_, 1, 1}) + yday_ - 1;
    } else {
      days = daysFromCivil({year_, static_cast<int>(month_), static_cast<int>(day_)});
    }
    const std::int64_t s = days * 86400 + hour_ * 3600 + minute_ * 60 + second_ - offset_;
    // int64 nanoseconds end in 1677 and 2262.
    constexpr std::int64_t kLimit = 9'223'372'036;
    if (s <= -kLimit || s >= kLimit) return std::nullopt;
    return s * 1'000'000'000 + micros_ * 1000;
  }

 private:
  // As many digits as there are, up to `most`, as long as the number stays in range.
  bool number(int least, int most, std::int64_t lo, std::int64_t hi, std::int64_t& out) {
    std::int64_t v = 0;
    int n = 0;
    while (n < most && static_cast<std::size_t>(n) < text_.size() &&
           isDigit(text_[static_cast<std::size_t>(n)])) {
      const std::int64_t next = v * 10 + (text_[static_cast<std::size_t>(n)] - '0');
      if (n >= least && next > hi) break;
      v = next;
      ++n;
    }
    if (n < least || v < lo || v > hi) return false;
    text_.remove_prefix(static_cast<std::size_t>(n));
    out = v;
    return true;
  }
  bool fraction() {
    std::int64_t v = 0;
    int n = 0;
    while (n < 6 && !text_.empty() && isDigit(text_.front())) {
      v = v * 10 + (text_.front() - '0');
      text_.remove_prefix(1);
      ++n;
    }
    if (n == 0) return false;
    for (; n < 6; ++n) v *= 10;
    micros_ = v;
    return true;
  }
  bool word(std::string_view w) {
    if (text_.size() < w.size()) return false;
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (lower(text_[i]) != lower(w[i])) return false;
    }
    text_.remove_prefix(w.size());
    return true;
  }
  bool monthName(std::size_t length) {
    for (std::size_t i = 0; i < kMonths.size(); ++i) {
      if (word(length ? kMonths[i].substr(0, length) : kMonths[i])) {
        month_ = static_cast<std::int64_t>(i) + 1;
        return true;
      }
    }
    return false;
  }
  bool offset() {
    if (!text_.empty() && (text_.front() == 'Z' || text_.front() == 'z')) {
      text_.remove_prefix(1);
      offset_ = 0;
      return true;
    }
    if (text_.empty() || (text_.front() != '+' && text_.front() != '-')) return false;
    const std::int64_t sign = text_.front() == '-' ? -1 : 1;
    text_.remove_prefix(1);
    std::int64_t h = 0;
    std::int64_t m = 0;
    std::int64_t s = 0;
    if (!number(2, 2, 0, 23, h)) return false;
    const bool colon = !text_.empty() && text_.front() == ':';
    if (colon) text_.remove_prefix(1);
    if (!number(2, 2, 0, 59, m)) return false;
    if (colon && text_.size() >= 3 && text_.front() == ':') {
      text_.remove_prefix(1);
      if (!number(2, 2, 0, 59, s)) return false;
    }
    offset_ = sign * (h * 3600 + m * 60 + s);
    return true;
  }

  std::string_view text_;
  std::int64_t year_ = 1900;
  std::int64_t month_ = 1;
  std::int64_t day_ = 1;
  std::int64_t yday_ = 0;  // 0: not given; else it decides
  std::int64_t hour_ = 0;
  std::int64_t minute_ = 0;
  std::int64_t second_ = 0;
  std::int64_t micros_ = 0;
  std::int64_t offset_ = 0;
};

// "2026-11-20T05:48:16.841713Z", what nearly all messages carry.
std::optional<TimeNs> parseDefault(std::string_view s) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  if (s.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (kShape[i] == 'd' ? !isDigit(s[i]) : s[i] != kShape[i]) return std::nullopt;
  }
  const auto num = [&](std::size_t at, std::size_t n) {
    std::int64_t v = 0;
    for (std::size_t i = at; i < at + n; ++i) v = v * 10 + (s[i] - '0');
    return v;
  };
  const Civil c{num(0, 4), static_cast<int>(num(5, 2)), static_cast<int>(num(8, 2))};
  const std::int64_t h = num(11, 2);
  const std::int64_t m = num(14, 2);
  const std::int64_t sec = num(17, 2);
  if (c.year < 1678 || c.year > 2261 || c.month < 1 || c.month > 12 || c.day < 1 ||
      c.day > daysInMonth(c.year, c.month) || h > 23 || m > 59 || sec > 59) {
    return std::nullopt;
  }
  return (daysFromCivil(c) * 86400 + h * 3600 + m * 60 + sec) * 1'000'000'000 + num(20, 6) * 1000;
}

}  // namespace

void appendTime(std::string& out, std::string_view format, TimeNs t) {
  const Fields f = split(t);
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    switch (const char c = format[++i]) {
      case 'Y':
        appendPadded(out, f.date.year, 4);
        break;
      case 'y':
        appendPadded(out, f.date.year % 100, 2);
        break;
      case 'm':
        appendPadded(out, f.date.month, 2);
        break;
      case 'd':
        appendPadded(out, f.date.day, 2);
        break;
      case 'H':
        appendPadded(out, f.seconds / 3600, 2);
        break;
      case 'M':
        appendPadded(out, f.seconds / 60 % 60, 2);
        break;
      case 'S':
        appendPadded(out, f.seconds % 60, 2);
        break;
      case 'f':
        appendPadded(out, f.micros, 6);
        break;
      case 'j':
        appendPadded(out, daysFromCivil(f.date) - daysFromCivil({f.date.year, 1, 1}) + 1, 3);
        break;
      case 'b':
        out += kMonths[static_cast<std::size_t>(f.date.month - 1)].substr(0, 3);
        break;
      case 'B':
        out += kMonths[static_cast<std::size_t>(f.date.month - 1)];
        break;
      case 'z':
      case 'Z':
        break;
      case '%':
        out += '%';
        break;
      default:
        (out += '%') += c;
    }
  }
}

std::optional<TimeNs> parseTime(std::string_view format, std::string_view text) {
  if (format == kDefaultTimestampFormat) {
    if (auto t = parseDefault(text)) return t;
  }
  TimeParser p(text);
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    bool fits = false;
    if (c == '%') {
      if (++i == format.size()) return std::nullopt;
      fits = p.directive(format[i]);
    } else if (isSpace(c)) {
      while (i + 1 < format.size() && isSpace(format[i + 1])) ++i;
      fits = p.blanks();
    } else {
      fits = p.literal(c);
    }
    if (!fits) return std::nullopt;
  }
  return p.finish();
}

}  // namespace godwit::metrics
