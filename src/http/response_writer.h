#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "godwit/http/response.h"

namespace godwit::http {

// Puts responses on the wire. One per loop; loop thread only.
class ResponseWriter {
 public:
  struct Framing {
    bool head = false;         // HEAD: length without body
    bool old = false;          // HTTP/1.0 client
    bool close = false;        // last response on its connection
    bool chunked = false;      // body follows through the chunked coding
    bool until_close = false;  // body follows and ends with the connection
    bool has_length = false;   // body of `length` bytes follows
    bool upgrade = false;      // 101
    std::uint64_t length = 0;
    std::string_view request_id;  // sent when not empty
  };

  explicit ResponseWriter(std::string_view server_header);

  // Appends status line and headers. `now_ms`: the loop's clock, which ages the Date line.
  void head(std::string& out, const Response& r, const Framing& f, std::int64_t now_ms);
  // True when a response of that status has no body whatever the handler put there.
  static bool bodiless(int status) { return status < 200 || status == 204 || status == 304; }
  static bool wantsClose(const Response& r) { return r.close_; }

 private:
  void refreshDate(std::int64_t now_ms);

  std::string server_line_;
  std::string date_line_;
  std::int64_t date_at_ms_ = INT64_MIN / 2;
  std::int64_t date_second_ = -1;
};

void appendNumber(std::string& out, std::uint64_t n);
// IMF-fixdate of RFC 9110: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string httpDate(std::int64_t unix_seconds);
// Accepts IMF-fixdate, RFC 850 and asctime dates; -1 when it is none of them.
std::int64_t parseHttpDate(std::string_view text);

}  // namespace godwit::http
