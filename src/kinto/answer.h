#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/config.h"
#include "kinto/errors.gen.h"

namespace godwit::http {
class StaticFiles;
}

namespace godwit::kinto {

// A response being made. Kept apart from http::Response because one HTTP request may hold many
// (batch). Reused, so strings keep their capacity.
class Answer {
 public:
  int status = 200;
  int errno_code = 0;  // 0: no error
  std::string body;    // JSON text unless `content_type` says otherwise
  std::string_view content_type = "application/json";  // static storage; "" for none
  bool own_policy = false;  // the headers hold Content-Security-Policy and what goes with it
  // A file is the body, and this tells which; status, type and validators come with it.
  const http::StaticFiles* files = nullptr;  // not owned
  std::string file;

  // `value` loses CR, LF and NUL, so that nothing a client sent can split the response.
  void header(std::string_view name, std::string_view value);
  void header(std::string_view name, std::int64_t value);
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::string_view get(std::string_view name) const;
  void remove(std::string_view name);
  void block(std::string_view lines) { headers_.append(lines); }  // must be well-formed
  // "Name: value\r\n" each, without Content-Type.
  [[nodiscard]] const std::string& headers() const { return headers_; }
  [[nodiscard]] std::string& headerBlock() { return headers_; }
  void clearHeaders() { headers_.clear(); }
  void clear();

 private:
  std::string headers_;
};

// One thing wrong with a request.
struct Problem {
  std::string_view location;  // "body", "querystring", "header", "path"; static storage
  std::string name;
  std::string description;
  bool has_name = true;

  Problem(std::string_view where, std::string what, std::string why)
      : location(where), name(std::move(what)), description(std::move(why)) {}
};

// Fills status, errno and body as {"code","errno","error","message"?,"info"?,"details"?}. The error
// title is the status's own unless given. Headers set so far are dropped: errors start afresh.
void setError(Answer& answer, int status, int errno_code, std::string_view message = {},
              std::string_view details_json = {}, std::string_view title = {},
              std::string_view info = {});
// 400 (or `status`) listing every problem; the message is made from the first by name.
void setInvalid(Answer& answer, std::vector<Problem> problems, int status = 400);
void setNotFound(Answer& answer, int errno_code, std::string_view id, std::string_view resource);
void setUnavailable(Answer& answer, const Config& config);
void setInternal(Answer& answer, const Config& config);

// Lets caches keep the answer for that long from now; 0 forbids it in every dialect of HTTP.
void allowCaching(Answer& answer, std::int64_t seconds, std::int64_t now_ms);

std::string_view statusTitle(int status);  // "Not Found"

}  // namespace godwit::kinto
