#include "kinto/answer.h"

#include <algorithm>

#include "base/text.h"
#include "json/value.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

// Descriptions quote what the client sent; this bounds the echo.
constexpr std::size_t kMaxDescription = 2'000;

std::string bounded(std::string text) {
  if (text.size() <= kMaxDescription) return text;
  std::size_t end = kMaxDescription;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

}  // namespace

void Answer::header(std::string_view name, std::string_view value) {
  headers_.append(name).append(": ");
  std::size_t start = 0;
  for (std::size_t i = 0; i <= value.size(); ++i) {
    bool ends = i == value.size() || value[i] == '\r' || value[i] == '\n' || value[i] == '\0';
    if (!ends) continue;
    headers_.append(value.substr(start, i - start));
    start = i + 1;
  }
  headers_.append("\r\n");
}

void Answer::header(std::string_view name, std::int64_t value) {
  header(name, std::to_string(value));
}

namespace {

// Position of the line of that name, or npos.
std::size_t findLine(const std::string& headers, std::string_view name) {
  std::size_t pos = 0;
  while (pos < headers.size()) {
    std::size_t end = headers.find("\r\n", pos);
    if (end - pos > name.size() && headers[pos + name.size()] == ':' &&
        equalIgnoreCase(std::string_view(headers).substr(pos, name.size()), name)) {
      return pos;
    }
    pos = end + 2;
  }
  return std::string::npos;
}

}  // namespace

bool Answer::has(std::string_view name) const {
  return findLine(headers_, name) != std::string::npos;
}

std::string_view Answer::get(std::string_view name) const {
  std::size_t pos = findLine(headers_, name);
  if (pos == std::string::npos) return {};
  std::size_t start = pos + name.size() + 2;
  return std::string_view(headers_).substr(start, headers_.find("\r\n", start) - start);
}

void Answer::remove(std::string_view name) {
  for (std::size_t pos; (pos = findLine(headers_, name)) != std::string::npos;) {
    headers_.erase(pos, headers_.find("\r\n", pos) + 2 - pos);
  }
}

void Answer::clear() {
  status = 200;
  errno_code = 0;
  body.clear();
  content_type = "application/json";
  headers_.clear();
  own_policy = false;
  files = nullptr;
  file.clear();
}

void allowCaching(Answer& answer, std::int64_t seconds, std::int64_t now_ms) {
  answer.remove("Cache-Control");
  answer.remove("Expires");
  if (seconds == 0) {
    answer.header("Cache-Control", "max-age=0, must-revalidate, no-cache, no-store");
    answer.header("Pragma", "no-cache");
    if (!answer.has("Last-Modified")) answer.header("Last-Modified", httpDate(now_ms));
  } else {
    answer.header("Cache-Control", "max-age=" + std::to_string(seconds));
  }
  answer.header("Expires", httpDate(now_ms + seconds * 1000));
}

std::string_view statusTitle(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Request Entity Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 503:
      return "Service Unavailable";
    case 507:
      return "Insufficient Storage";
    default:
      return "Internal Server Error";
  }
}

void setError(Answer& answer, int status, int errno_code, std::string_view message,
              std::string_view details_json, std::string_view title, std::string_view info) {
  answer.clear();
  answer.status = status;
  answer.errno_code = errno_code;
  std::string& out = answer.body;
  out.append("{\"code\":").append(std::to_string(status));
  out.append(",\"errno\":").append(std::to_string(errno_code)).append(",\"error\":");
  json::dumpString(out, title.empty() ? statusTitle(status) : title);
  if (!message.empty()) {
    out.append(",\"message\":");
    json::dumpString(out, message);
  }
  if (!info.empty()) {
    out.append(",\"info\":");
    json::dumpString(out, info);
  }
  if (!details_json.empty()) out.append(",\"details\":").append(details_json);
  out += '}';
}

void setInvalid(Answer& answer, std::vector<Problem> problems, int status) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return (a.has_name ? a.name : "None") < (b.has_name ? b.name : "None");
  });
  std::string details = "[";
  for (Problem& p : problems) {
    p.description = bounded(std::move(p.description));
    if (details.size() > 1) details += ',';
    details.append("{\"location\":\"").append(p.location).append("\",\"name\":");
    if (p.has_name) {
      json::dumpString(details, p.name);
    } else {
      details += "null";
    }
    details += ",\"description\":";
    json::dumpString(details, p.description);
    details += '}';
  }
  details += ']';
  const Problem& first = problems.front();
  std::string message;
  if (!first.has_name) {
    message = std::string(first.location) + ": " + first.description;
  } else if (first.description.find(first.name) != std::string::npos) {
    message = first.description;
  } else {
    message = first.name + " in " + std::string(first.location) + ": " + first.description;
  }
  setError(answer, status, kErrnoInvalidParameters, message, details, "Invalid parameters");
}

void setNotFound(Answer& answer, int errno_code, std::string_view id, std::string_view resource) {
  std::string details = "{\"id\":";
  json::dumpString(details, id);
  details += ",\"resource_name\":";
  json::dumpString(details, resource);
  details += '}';
  setError(answer, 404, errno_code, {}, details);
}

void setUnavailable(Answer& answer, const Config& config) {
  setError(answer, 503, kErrnoBackend,
           "Service temporary unavailable due to overloading or maintenance, please retry later.");
  answer.header("Retry-After", config.retry_after_seconds);
}

void setInternal(Answer& answer, const Config& config) {
  setError(answer, 500, kErrnoUndefined,
           "A programmatic error occurred, developers have been informed.", {}, {},
           config.error_info_link);
}

}  // namespace godwit::kinto
