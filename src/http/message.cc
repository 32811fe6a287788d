#include <charconv>

#include "godwit/http/request.h"
#include "godwit/http/response.h"
#include "http/counters.h"
#include "http/text.h"

namespace godwit::http {
namespace {

constexpr std::string_view kMethods[] = {"GET",    "HEAD",    "POST",  "PUT",     "PATCH",
                                         "DELETE", "OPTIONS", "TRACE", "CONNECT", ""};

bool validHeader(std::string_view name, std::string_view value) {
  if (!isToken(name)) return false;
  for (char c : value) {
    if (c == '\r' || c == '\n' || c == '\0') return false;
  }
  return true;
}

// Calls f(line_start, name, value) until it returns true; lines are well-formed by construction.
template <class F>
bool findLine(std::string_view block, F f) {
  std::size_t at = 0;
  while (at < block.size()) {
    std::size_t end = block.find("\r\n", at);
    if (end == std::string_view::npos) end = block.size();
    std::string_view line = block.substr(at, end - at);
    std::size_t colon = line.find(':');
    if (colon != std::string_view::npos &&
        f(at, end + 2, line.substr(0, colon), trim(line.substr(colon + 1)))) {
      return true;
    }
    at = end + 2;
  }
  return false;
}

}  // namespace

Method methodFromString(std::string_view name) {
  if (name == "GET") return Method::kGet;  // the usual one, without a call per name
  for (std::size_t i = 0; i + 1 < std::size(kMethods); ++i) {
    if (kMethods[i] == name) return static_cast<Method>(i);
  }
  return Method::kOther;
}

std::string_view toString(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

std::string_view Request::header(std::string_view name) const {
  for (const Header& h : headers) {
    if (h.name.size() == name.size() && iequals(h.name, name)) return h.value;
  }
  return {};
}

bool Request::has(std::string_view name) const {
  for (const Header& h : headers) {
    if (iequals(h.name, name)) return true;
  }
  return false;
}

void Response::header(std::string_view name, std::string_view value) {
  if (!validHeader(name, value)) {
    counters().dropped_headers.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // The server frames messages; only a HEAD response may know its length better.
  switch (name.size()) {
    case 4:
      if (iequals(name, "date")) own_date_ = true;
      break;
    case 6:
      if (iequals(name, "server")) own_server_ = true;
      break;
    case 10:
      if (iequals(name, "connection")) {
        forEachMember(value, [&](std::string_view m) {
          if (iequals(m, "close")) close_ = true;
        });
        return;
      }
      break;
    case 14:
      if (iequals(name, "content-length")) {
        std::uint64_t n = 0;
        auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), n);
        if (ec == std::errc() && end == value.data() + value.size()) {
          length_ = n;
          has_length_ = true;
        }
        return;
      }
      break;
    case 17:
      if (iequals(name, "transfer-encoding")) return;
      break;
    default:
      break;
  }
  headers_.append(name).append(": ").append(value).append("\r\n");
}

void Response::header(std::string_view name, std::int64_t value) {
  char digits[24];
  auto r = std::to_chars(digits, digits + sizeof digits, value);
  header(name, std::string_view(digits, static_cast<std::size_t>(r.ptr - digits)));
}

std::string_view Response::get(std::string_view name) const {
  std::string_view found;
  findLine(headers_, [&](std::size_t, std::size_t, std::string_view n, std::string_view v) {
    if (!iequals(n, name)) return false;
    found = v;
    return true;
  });
  return found;
}

bool Response::remove(std::string_view name) {
  bool any = false;
  while (findLine(headers_,
                  [&](std::size_t from, std::size_t to, std::string_view n, std::string_view) {
                    if (!iequals(n, name)) return false;
                    headers_.erase(from, to - from);
                    return true;
                  })) {
    any = true;
  }
  return any;
}

void Response::text(int code, std::string_view content) {
  status = code;
  remove("Content-Type");
  header("Content-Type", "text/plain; charset=utf-8");
  body.assign(content);
}

void Response::json(int code, std::string_view content) {
  status = code;
  remove("Content-Type");
  header("Content-Type", "application/json");
  body.assign(content);
}

std::string_view reasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 511:
      return "Network Authentication Required";
    default:
      return {};
  }
}

}  // namespace godwit::http
