#include "http/response_writer.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace godwit::http {
namespace {

// "HTTP/1.1 200 OK\r\n" for every status with a phrase, made once.
const std::string& statusLine(int status) {
  static const std::array<std::string, 600> lines = [] {
    std::array<std::string, 600> t;
    for (int s = 100; s < 600; ++s) {
      std::string phrase(reasonPhrase(s));
      t[static_cast<std::size_t>(s)] = "HTTP/1.1 " + std::to_string(s) + ' ' + phrase + "\r\n";
    }
    return t;
  }();
  return lines[static_cast<std::size_t>(status >= 100 && status < 600 ? status : 500)];
}

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

void appendNumber(std::string& out, std::uint64_t n) {
  char digits[24];
  auto r = std::to_chars(digits, digits + sizeof digits, n);
  out.append(digits, static_cast<std::size_t>(r.ptr - digits));
}

std::string httpDate(std::int64_t unix_seconds) {
  time_t t = unix_seconds;
  tm parts{};
  gmtime_r(&t, &parts);
  char text[64];
  int n = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                        kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                        parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return std::string(text, static_cast<std::size_t>(n));
}

std::int64_t parseHttpDate(std::string_view text) {
  const std::string s(text.substr(0, 64));
  char month[4] = "";
  tm t{};
  int year = 0;
  int end = 0;
  auto whole = [&] { return end > 0 && static_cast<std::size_t>(end) == s.size(); };
  bool ok = std::sscanf(s.c_str(), "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &t.tm_mday, month,
                        &year, &t.tm_hour, &t.tm_min, &t.tm_sec, &end) == 6 &&
            whole();
  if (!ok) {
    end = 0;
    ok = std::sscanf(s.c_str(), "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &t.tm_mday,
                     month, &year, &t.tm_hour, &t.tm_min, &t.tm_sec, &end) == 6 &&
         whole();
    if (ok) year += year < 70 ? 2000 : 1900;
  }
  if (!ok) {
    end = 0;
    ok = std::sscanf(s.c_str(), "%*3[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", month, &t.tm_mday,
                     &t.tm_hour, &t.tm_min, &t.tm_sec, &year, &end) == 6 &&
         whole();
  }
  if (!ok) return -1;
  t.tm_mon = -1;
  for (int m = 0; m < 12; ++m) {
    if (std::string_view(month) == kMonths[m]) t.tm_mon = m;
  }
  if (t.tm_mon < 0 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour < 0 || t.tm_hour > 23 ||
      t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 || t.tm_sec > 60 || year < 1) {
    return -1;
  }
  t.tm_year = year - 1900;
  return timegm(&t);
}

ResponseWriter::ResponseWriter(std::string_view server_header) {
  if (!server_header.empty()) {
    Response r;
    r.header("Server", server_header);  // drops what would break the head
    server_line_ = r.headerBlock();
  }
}

void ResponseWriter::refreshDate(std::int64_t now_ms) {
  date_at_ms_ = now_ms;
  std::int64_t second = std::time(nullptr);
  if (second == date_second_) return;
  date_second_ = second;
  date_line_ = "Date: " + httpDate(second) + "\r\n";
}

void ResponseWriter::head(std::string& out, const Response& r, const Framing& f,
                          std::int64_t now_ms) {
  if (now_ms - date_at_ms_ > 100) refreshDate(now_ms);
  out.append(statusLine(r.status)).append(r.headers_);
  if (f.chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (!f.upgrade && !f.until_close) {
    std::uint64_t n = f.has_length ? f.length : r.body.size();
    bool send = r.status >= 200 && r.status != 204;
    if (f.head && r.has_length_) n = r.length_;
    if (r.status == 304) {
      // The length a 200 would have had, or nothing.
      send = r.has_length_;
      n = r.length_;
    }
    if (send) {
      out.append("Content-Length: ");
      appendNumber(out, n);
      out.append("\r\n");
    }
  }
  if (!r.own_date_) out.append(date_line_);
  if (!r.own_server_) out.append(server_line_);
  if (!f.request_id.empty()) out.append("X-Request-Id: ").append(f.request_id).append("\r\n");
  if (f.close) {
    out.append("Connection: close\r\n");
  } else if (f.old) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
}

}  // namespace godwit::http
