#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "godwit/http/request.h"
#include "godwit/result.h"

// What clients put into targets, headers and bodies. Any thread.
namespace godwit::http {

// Percent-decoding (RFC 3986); '+' is a space only in forms. nullopt for a broken escape.
std::optional<std::string> urlDecode(std::string_view text, bool form = false);
std::string urlEncode(std::string_view text);

// "a=1&b=2", of a query or an application/x-www-form-urlencoded body; pairs with broken escapes are
// left out.
using FormFields = std::vector<std::pair<std::string, std::string>>;
FormFields parseForm(std::string_view text);
// First value of that name; nullopt when absent.
std::optional<std::string> formValue(std::string_view text, std::string_view name);

struct BasicAuth {
  std::string user;
  std::string password;
};
// Credentials of "Authorization: Basic", nullopt when absent or malformed. Compare them in constant
// time.
std::optional<BasicAuth> basicAuth(const Request& request);
// Value of the first cookie of that name.
std::optional<std::string_view> cookie(const Request& request, std::string_view name);

// One part of a multipart/form-data body, while it is read.
struct PartHead {
  std::string name;
  std::string filename;  // as sent: never use it as a path
  std::string content_type;
};

// Reads multipart/form-data (RFC 7578) in pieces of any size; holds a few kilobytes at most.
class MultipartParser {
 public:
  struct Limits {
    std::size_t max_parts = 1000;
    std::size_t max_head_bytes = 8192;  // of one part
    Limits() {}
  };
  struct Events {
    std::function<void(const PartHead&)> begin;
    std::function<void(std::string_view)> data;  // of the part begun last
    std::function<void()> end;
  };
  // kInvalid when `content_type` is not multipart/form-data with a proper boundary.
  static Result<MultipartParser> forRequest(const Request& request, Events events,
                                            Limits limits = {});

  // Errors: kInvalid, kLimit. After an error nothing more may be fed.
  Result<void> feed(std::string_view bytes);
  // kInvalid when the closing boundary has not been seen.
  Result<void> finish() const;

 private:
  MultipartParser(std::string boundary, Events events, Limits limits);
  enum class State : unsigned char { kPreamble, kAfterBoundary, kHead, kData, kDone };
  Result<void> head(std::string_view block);

  std::string boundary_;  // "\r\n--" and the boundary
  Events events_;
  Limits limits_;
  State state_ = State::kPreamble;
  std::string buffer_;
  std::size_t parts_ = 0;
};

// All parts of a small body at once.
struct Part {
  PartHead head;
  std::string data;
};
Result<std::vector<Part>> parseMultipart(const Request& request);

}  // namespace godwit::http
